#include "virt-handler/network/pod_network.hpp"

#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <ifaddrs.h>
#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <fmt/format.h>

#include "pkg/base/file.hpp"
#include "pkg/base/process.hpp"
#include "virt-handler/network/masquerade.hpp"
#include "virt-handler/network/netns.hpp"
#include "virt-handler/network/resolv_conf.hpp"
#include "virt-handler/streams/safe_path.hpp"

namespace nodevirt::virt_handler {
namespace {

Result<void> write_sysctl(const char* name, std::string_view value) {
  std::string path = fmt::format("/proc/sys/net/{}", name);
  Fd fd(open(path.c_str(), O_WRONLY | O_CLOEXEC));
  if (!fd || write(fd.get(), value.data(), value.size()) != static_cast<ssize_t>(value.size()))
    return errno_error(errno, "write " + path);
  return {};
}

ifreq request_for(std::string_view interface) {
  ifreq out{};
  std::memcpy(out.ifr_name, interface.data(), std::min(interface.size(), sizeof out.ifr_name - 1));
  return out;
}

struct Inspection {
  ExistingLinks links;
  unsigned mtu = 1500;
  bool ipv6 = false;  ///< the pod's interface has an address that leads beyond its link
};

bool has_global_ipv6(std::string_view interface) {
  ifaddrs* list = nullptr;
  if (getifaddrs(&list) != 0) return false;
  bool found = false;
  for (const ifaddrs* a = list; a && !found; a = a->ifa_next)
    if (a->ifa_addr && a->ifa_addr->sa_family == AF_INET6 && interface == a->ifa_name)
      found = !IN6_IS_ADDR_LINKLOCAL(&reinterpret_cast<const sockaddr_in6*>(a->ifa_addr)->sin6_addr);
  freeifaddrs(list);
  return found;
}

Result<void> inspect(Inspection& out) {
  out.links.bridge = if_nametoindex(std::string(kBridge).c_str()) != 0;
  out.links.tap = if_nametoindex(std::string(kTap).c_str()) != 0;
  out.ipv6 = has_global_ipv6(kPodInterface);
  Fd socket(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (!socket) return errno_error(errno, "make a socket in the pod's network namespace");
  ifreq request = request_for(kPodInterface);
  if (ioctl(socket.get(), SIOCGIFMTU, &request) != 0)
    return errno_error(errno, fmt::format("read the MTU of {} in the pod", kPodInterface));
  if (request.ifr_mtu >= 576 && request.ifr_mtu <= 65535) out.mtu = static_cast<unsigned>(request.ifr_mtu);
  return {};
}

/// The kernel leaves checksums of its own packets to the device; guests that read DHCP answers
/// from a raw socket would find them wrong.
void checksum_in_software() {
  Fd socket(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (!socket) return;
  ethtool_value value{ETHTOOL_STXCSUM, 0};
  ifreq request = request_for(kBridge);
  request.ifr_data = reinterpret_cast<char*>(&value);
  (void)ioctl(socket.get(), SIOCETHTOOL, &request);
}

Result<void> set_sysctls(bool ipv6) {
  NV_TRY_VOID(write_sysctl("ipv4/ip_forward", "1"));
  NV_TRY_VOID(write_sysctl(fmt::format("ipv4/conf/{}/route_localnet", kBridge).c_str(), "1"));
  // The launcher's DHCP responder binds port 67 without a capability; only in this namespace.
  NV_TRY_VOID(write_sysctl("ipv4/ip_unprivileged_port_start", "0"));
  if (ipv6) NV_TRY_VOID(write_sysctl("ipv6/conf/all/forwarding", "1"));
  return {};
}

Result<void> build(int netns, MasqueradePlan& plan) {
  Inspection found;
  NV_TRY_VOID(in_netns(netns, [&found] { return inspect(found); }));
  plan.mtu = found.mtu;
  plan.ipv6 = found.ipv6;
  Command ip{.argv = {"ip", "-batch", "-"}, .input = render_ip_batch(plan, found.links), .timeout = 10s, .netns_fd = netns};
  if (auto done = check_output(ip); !done.ok()) return done.error().with_context("make the pod's bridge and tap");
  Command nft{.argv = {"nft", "-f", "-"}, .input = render_nft(plan), .timeout = 10s, .netns_fd = netns};
  if (auto done = check_output(nft); !done.ok()) return done.error().with_context("set the pod's address translation");
  bool ipv6 = plan.ipv6;
  return in_netns(netns, [ipv6] {
    checksum_in_software();
    return set_sysctls(ipv6);
  });
}

launcher::v1::InterfaceOptions options_of(const MasqueradePlan& plan, const ResolvConf& resolver, const api::Instance& vmi) {
  launcher::v1::InterfaceOptions out;
  out.set_name(plan.interface_name);
  out.set_tap(std::string(kTap));
  out.set_mac(plan.mac);
  out.set_mtu(plan.mtu);
  out.set_bridge(std::string(kBridge));
  out.set_guest_ip(plan.guest);
  out.set_prefix(plan.prefix);
  out.set_gateway(plan.gateway);
  for (const std::string& server : resolver.servers) out.add_dns(server);
  if (!vmi.spec.subdomain.empty() && !resolver.search.empty()) {
    // The pod's first search domain is its namespace's.
    std::string own = vmi.spec.subdomain + "." + resolver.search.front();
    if (std::find(resolver.search.begin(), resolver.search.end(), own) == resolver.search.end()) out.add_search(own);
  }
  for (const std::string& domain : resolver.search) out.add_search(domain);
  out.set_hostname(guest_hostname(vmi));
  return out;
}

Result<std::vector<launcher::v1::InterfaceOptions>> prepare(const PodNetworkRequest& request, const api::Instance& vmi) {
  std::vector<launcher::v1::InterfaceOptions> out;
  NV_TRY(std::vector<MasqueradePlan> plans, plan_masquerade(vmi));
  if (plans.empty()) return out;
  NV_TRY(Fd netns, open_pod_netns(request.pid));
  ResolvConf resolver;
  if (auto text = read_in_root(request.pid, "etc/resolv.conf", 64u << 10); text.ok()) resolver = parse_resolv_conf(*text);
  for (MasqueradePlan& plan : plans) {
    plan.tap_owner = request.launcher_uid;
    NV_TRY_VOID(build(netns.get(), plan));
    out.push_back(options_of(plan, resolver, vmi));
  }
  return out;
}

}  // namespace

std::string guest_hostname(const api::Instance& vmi) {
  if (!vmi.spec.hostname.empty()) return vmi.spec.hostname;
  std::string name = vmi.metadata.name.substr(0, vmi.metadata.name.find('.'));
  return name.substr(0, 63);
}

Awaitable<Result<std::vector<launcher::v1::InterfaceOptions>>> prepare_pod_network(
    PodNetworkRequest request, std::shared_ptr<const api::Instance> vmi) {
  auto work = [request, vmi] { return prepare(request, *vmi); };
  co_return co_await blocking(work);
}

}  // namespace nodevirt::virt_handler
