#include "standalone/nodes/network.hpp"

#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "pkg/base/log.hpp"
#include "pkg/base/process.hpp"
#include "standalone/nodes/forwarding.hpp"
#include "standalone/nodes/userfaultfd.hpp"

namespace nodevirt::nodes {
namespace {

bool link_exists(const std::string& name) { return std::filesystem::exists("/sys/class/net/" + name); }

Result<void> ip_batch(const std::string& netns, const std::string& lines, std::string_view doing) {
  Command c;
  c.argv = netns.empty() ? std::vector<std::string>{"ip", "-batch", "-"} : std::vector<std::string>{"ip", "-n", netns, "-batch", "-"};
  c.input = lines;
  auto done = check_output(c);
  if (!done.ok()) return done.error().with_context(doing);
  return {};
}

Result<void> write_sysctl(const std::string& path, std::string_view value) {
  Fd fd(open(("/proc/sys/" + path).c_str(), O_WRONLY | O_CLOEXEC));
  if (!fd || write(fd.get(), value.data(), value.size()) < 0) return errno_error(errno, "write /proc/sys/" + path);
  return {};
}

/// Routers need forwarding on; replies may come back another way than the kernel guesses (loose check).
Result<void> node_sysctls() {
  NV_TRY_VOID(write_sysctl("net/ipv4/ip_forward", "1"));
  NV_TRY_VOID(write_sysctl("net/ipv4/conf/all/rp_filter", "0"));
  NV_TRY_VOID(write_sysctl("net/ipv4/conf/default/rp_filter", "0"));
  // Pods on one bridge reach each other's Services by routing, with or without br_netfilter.
  if (std::filesystem::exists("/proc/sys/net/bridge/bridge-nf-call-iptables")) NV_TRY_VOID(write_sysctl("net/bridge/bridge-nf-call-iptables", "0"));
  return {};
}

Result<void> host_sysctls(const Topology& t) {
  NV_TRY_VOID(hold_forwarding());
  // A NodePort asked for at 127.0.0.1 leaves through the bridge (and is masqueraded there); host_rules keeps
  // the nodes from using the same door inwards.
  return write_sysctl("net/ipv4/conf/" + t.bridge + "/route_localnet", "1");
}

Result<void> make_netns(const std::string& name) {
  if (auto there = open_netns(name); there.ok()) return {};
  unlink(("/run/netns/" + name).c_str());   // a leftover file without a namespace
  auto done = check_output(Command{.argv = {"ip", "netns", "add", name}});
  if (!done.ok()) return done.error().with_context("make network namespace " + name);
  return {};
}

}  // namespace

namespace detail {
void enter(const Fd& netns) { NV_CHECK(setns(netns.get(), CLONE_NEWNET) == 0); }
}  // namespace detail

Result<Fd> open_netns(const std::string& name) {
  const std::string path = "/run/netns/" + name;
  Fd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd) return errno_error(errno, "open " + path);
  struct stat here{}, outside{};
  // The file is an empty one until a namespace is mounted on it: that shows in the file system it lies in.
  if (fstat(fd.get(), &here) != 0 || stat("/run/netns", &outside) != 0) return errno_error(errno, "look at " + path);
  if (here.st_dev == outside.st_dev) return Error{Code::NotFound, path + " holds no network namespace"};
  return fd;
}

Result<Fd> own_netns() {
  Fd fd(open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC));
  if (!fd) return errno_error(errno, "open /proc/thread-self/ns/net");
  return fd;
}

std::string host_batch(const Topology& t, bool bridge_exists, const std::vector<bool>& exists) {
  std::string out;
  if (!bridge_exists) out += fmt::format("link add {} type bridge stp_state 0 forward_delay 0\n", t.bridge);
  out += fmt::format("addr replace {}/{} dev {}\n", t.gateway, t.nodes_range.bits, t.bridge);
  out += fmt::format("link set {} up\n", t.bridge);
  for (std::size_t i = 0; i < t.nodes.size(); ++i) {
    const NodeNetwork& n = t.nodes[i];
    if (!exists[i]) out += fmt::format("link add {} type veth peer name eth0 netns {}\n", n.host_link, n.netns);
    // Where the machine's bridges pass through its IP rules (br_netfilter), a translated packet may have to leave by
    // the port it came from.
    out += fmt::format("link set {0} master {1}\nlink set {0} type bridge_slave hairpin on\nlink set {0} up\n", n.host_link, t.bridge);
    out += fmt::format("route replace {} via {} dev {} onlink\n", n.pods.to_string(), n.address, t.bridge);
  }
  out += fmt::format("route replace {} dev {}\n", t.services_range.to_string(), t.bridge);
  if (!t.nodes.empty()) out += fmt::format("route replace {} via {} dev {} onlink\n", t.dns_address, t.nodes[0].address, t.bridge);
  return out;
}

std::string node_batch(const Topology& t, const NodeNetwork& node) {
  std::string out = "link set lo up\n";
  out += fmt::format("addr replace {}/{} dev eth0\n", node.address, t.nodes_range.bits);
  out += "link set eth0 up\n";
  out += fmt::format("route replace default via {}\n", t.gateway);
  out += fmt::format("addr replace {}/32 dev lo\n", t.dns_address);
  for (const NodeNetwork& other : t.nodes)
    if (other.name != node.name) out += fmt::format("route replace {} via {} dev eth0 onlink\n", other.pods.to_string(), other.address);
  return out;
}

std::string host_rules(const Topology& t) {
  // Replaced whole in one transaction: the first line makes the second one safe when there is no table yet.
  return fmt::format(
      "table ip {0} {{}}\n"
      "delete table ip {0}\n"
      "table ip {0} {{\n"
      "  chain prerouting {{\n"
      "    type filter hook prerouting priority raw; policy accept;\n"
      "    iifname \"{1}\" ip daddr 127.0.0.0/8 drop\n"
      "  }}\n"
      "  chain postrouting {{\n"
      "    type nat hook postrouting priority srcnat; policy accept;\n"
      "    ip saddr {{ {2}, {3} }} oifname != \"{1}\" masquerade\n"
      "    ip saddr 127.0.0.0/8 oifname \"{1}\" masquerade\n"
      "  }}\n"
      "  chain forward {{\n"
      "    type filter hook forward priority filter; policy accept;\n"
      "    iifname \"{1}\" accept\n"
      "    oifname \"{1}\" ct state established,related accept\n"
      "    oifname \"{1}\" ct status dnat accept\n"
      "  }}\n"
      "}}\n",
      t.table, t.bridge, t.nodes_range.to_string(), t.pods_range.to_string());
}

Result<void> bring_up(const Topology& t) {
  for (const NodeNetwork& n : t.nodes) {
    NV_TRY_VOID(make_netns(n.netns));
    NV_TRY(Fd ns, open_netns(n.netns));
    auto set = in_netns(ns, [] { return node_sysctls(); });
    if (!set.ok()) return set.error().with_context("prepare network namespace " + n.netns);
  }
  std::vector<bool> exists;
  for (const NodeNetwork& n : t.nodes) exists.push_back(link_exists(n.host_link));
  NV_TRY_VOID(ip_batch("", host_batch(t, link_exists(t.bridge), exists), "set up the bridge " + t.bridge));
  NV_TRY_VOID(host_sysctls(t));
  for (const NodeNetwork& n : t.nodes) NV_TRY_VOID(ip_batch(n.netns, node_batch(t, n), "set up the network of " + n.name));
  auto rules = check_output(Command{.argv = {"nft", "-f", "-"}, .input = host_rules(t)});
  if (!rules.ok()) return rules.error().with_context("load the rules of table " + t.table);
  return {};
}

namespace {

struct Remains {
  std::vector<std::string> links, namespaces;   ///< the bridge is the last of the links
};

Result<void> remove_all(const Remains& remains, const std::string& table_name) {
  Result<void> first;
  auto attempt = [&](std::vector<std::string> argv, std::string input = "") {
    auto done = check_output(Command{.argv = std::move(argv), .input = std::move(input)});
    if (!done.ok() && first.ok()) first = done.error();
  };
  for (const std::string& link : remains.links)
    if (link_exists(link)) attempt({"ip", "link", "del", link});
  for (const std::string& name : remains.namespaces)
    if (std::filesystem::exists("/run/netns/" + name)) attempt({"ip", "netns", "del", name});
  for (const std::string& table : {table_name, table_name + "-services"})
    attempt({"nft", "-f", "-"}, fmt::format("table ip {0} {{}}\ndelete table ip {0}\n", table));
  if (auto released = release_forwarding(); !released.ok() && first.ok()) first = released.error();
  if (auto released = release_userfaultfd(remains.links.back()); !released.ok() && first.ok()) first = released.error();
  return first;
}

}  // namespace

Result<void> tear_down(const Topology& t) {
  Remains remains;
  for (const NodeNetwork& n : t.nodes) {
    remains.links.push_back(n.host_link);
    remains.namespaces.push_back(n.netns);
  }
  remains.links.push_back(t.bridge);
  return remove_all(remains, t.table);
}

Result<void> tear_down_remains(const std::string& hash, bool named) {
  const Topology t = make_topology(hash, named, Ranges{}, 0);
  Remains remains;
  std::error_code error;
  for (std::filesystem::directory_iterator it("/sys/class/net", error), end; !error && it != end; it.increment(error))
    if (it->path().filename().string().starts_with("nv" + hash + "n")) remains.links.push_back(it->path().filename());
  for (std::filesystem::directory_iterator it("/run/netns", error), end; !error && it != end; it.increment(error))
    if (it->path().filename().string().starts_with(named ? "nodevirt-node" : "nodevirt-" + hash + "-")) remains.namespaces.push_back(it->path().filename());
  remains.links.push_back(t.bridge);
  return remove_all(remains, t.table);
}

}  // namespace nodevirt::nodes
