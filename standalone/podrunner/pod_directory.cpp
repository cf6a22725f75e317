#include "standalone/podrunner/pod_directory.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "api/names.hpp"
#include "pkg/base/file.hpp"

namespace nodevirt::podrunner {
namespace fs = std::filesystem;
namespace {

Result<void> write_plain(const fs::path& path, std::string_view text, mode_t mode) {
  const auto temp = path.string() + ".new";
  ::unlink(temp.c_str());
  Fd fd(::open(temp.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode));
  if (!fd) return errno_error(errno, "create " + temp);
  ::fchmod(fd.get(), mode);
  while (!text.empty()) {
    const auto n = ::write(fd.get(), text.data(), text.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return errno_error(errno, "write " + temp);
    text.remove_prefix(static_cast<std::size_t>(n));
  }
  if (::rename(temp.c_str(), path.c_str()) != 0) return errno_error(errno, "rename " + temp);
  return {};
}

std::string hostname_of(const PodView& pod) { return (pod.hostname.empty() ? pod.name : pod.hostname).substr(0, 63); }

std::string clean(std::string_view text) {  // a user's words in a line of a file of ours
  std::string out;
  for (const char c : text)
    if (static_cast<unsigned char>(c) > 0x20 && c != 0x7f) out += c;
  return out;
}

}  // namespace

PodPaths::PodPaths(const Options& options, const std::string& uid, const std::string& c)
    : root(options.pods_dir() / uid), netns(options.netns_dir() / uid), container(c) {}

Result<void> write_state(const fs::path& path, const Json& value) { return write_plain(path, dump_json(value), 0600); }

std::optional<Json> read_state(const fs::path& path) {
  auto text = read_file(path, 8u << 20);
  if (!text.ok()) return std::nullopt;
  auto json = parse_json(*text);
  if (!json.ok()) return std::nullopt;
  return std::move(*json);
}

Result<void> make_pod_directory(const Options& options, const PodPaths& paths, const PodView& pod, const Json& object) {
  (void)pod;
  NV_TRY_VOID(make_dirs(paths.root, 0711));
  NV_TRY_VOID(write_state(paths.pod_file(), object));
  NV_TRY_VOID(make_dirs(paths.root / "volumes", 0711));
  NV_TRY_VOID(make_dirs(paths.root / "containers", 0711));
  NV_TRY_VOID(make_dirs(paths.container_dir(), 0750));
  if (options.log_gid != 0 && ::chown(paths.container_dir().c_str(), static_cast<uid_t>(-1), options.log_gid) != 0)
    return errno_error(errno, "give the log folder to its readers");
  return {};
}

std::string resolv_conf(const Options& options, const PodView& pod, const std::string& host) {
  std::vector<std::string> servers, searches, opts;
  if (pod.dns_policy != "None") {
    const bool cluster = pod.dns_policy.starts_with("ClusterFirst") && !options.cluster_dns.empty();
    if (cluster) {
      servers.push_back(options.cluster_dns);
      searches = {pod.ns + ".svc." + options.cluster_domain, "svc." + options.cluster_domain, options.cluster_domain};
      opts.push_back("ndots:5");
    } else {
      std::istringstream lines(host);
      for (std::string line; std::getline(lines, line);) {
        std::istringstream words(line);
        std::string key, word;
        words >> key;
        auto* list = key == "nameserver" ? &servers : key == "search" ? &searches : key == "options" ? &opts : nullptr;
        if (list && key == "search") list->clear();
        while (list && words >> word) list->push_back(word);
      }
    }
  }
  const auto append = [&](std::string_view field, std::vector<std::string>& list) {
    if (const Json* v = find(pod.dns_config, {field}); v && v->is_array())
      for (const auto& s : *v)
        if (s.is_string() && std::find(list.begin(), list.end(), s.get<std::string>()) == list.end()) list.push_back(clean(s.get<std::string>()));
  };
  append("nameservers", servers);
  append("searches", searches);
  if (const Json* v = find(pod.dns_config, {"options"}); v && v->is_array())
    for (const auto& o : *v) {
      const auto name = clean(string_at(o, {"name"})), value = clean(string_at(o, {"value"}));
      std::erase_if(opts, [&](const std::string& old) { return old == name || old.starts_with(name + ":"); });
      if (!name.empty()) opts.push_back(value.empty() ? name : name + ":" + value);
    }
  std::string out;
  for (std::size_t i = 0; i < servers.size() && i < 3; ++i) out += "nameserver " + servers[i] + "\n";
  if (!searches.empty()) {
    out += "search";
    for (std::size_t i = 0; i < searches.size() && i < 32; ++i) out += " " + searches[i];
    out += "\n";
  }
  if (!opts.empty()) {
    out += "options";
    for (const auto& o : opts) out += " " + o;
    out += "\n";
  }
  return out;
}

Result<void> write_etc(const Options& options, const PodPaths& paths, const PodView& pod, unsigned uid, unsigned gid) {
  const auto etc = paths.etc();
  NV_TRY_VOID(make_dirs(etc, 0755));
  NV_TRY_VOID(write_plain(etc / "passwd", fmt::format("root:x:0:0:root:/:/usr/sbin/nologin\nqemu:x:{}:{}:launcher:/:/usr/sbin/nologin\n", uid, gid), 0644));
  NV_TRY_VOID(write_plain(etc / "group", fmt::format("root:x:0:\nqemu:x:{}:\n", gid), 0644));
  NV_TRY_VOID(write_plain(etc / "nsswitch.conf", "passwd: files\ngroup: files\nhosts: files dns\n", 0644));
  NV_TRY_VOID(write_plain(etc / "hostname", hostname_of(pod) + "\n", 0644));
  auto host_resolv = read_file("/etc/resolv.conf", 1 << 16);
  NV_TRY_VOID(write_plain(etc / "resolv.conf", resolv_conf(options, pod, host_resolv.ok() ? *host_resolv : ""), 0644));
  // Places for what is bound over from the host's /etc.
  if (!fs::exists(etc / "ld.so.cache")) NV_TRY_VOID(write_plain(etc / "ld.so.cache", "", 0644));
  return make_dirs(etc / "alternatives", 0755);
}

Result<void> write_hosts(const Options& options, const PodPaths& paths, const PodView& pod, const std::string& pod_ip) {
  const auto hostname = hostname_of(pod);
  std::string hosts = "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n";
  if (!pod_ip.empty()) {
    hosts += pod_ip + "\t";
    if (!pod.subdomain.empty()) hosts += fmt::format("{}.{}.{}.svc.{}\t", hostname, pod.subdomain, pod.ns, options.cluster_domain);
    hosts += hostname + "\n";
  }
  for (const auto& alias : pod.host_aliases) {
    std::string line = clean(string_at(alias, {"ip"}));
    if (const Json* names = find(alias, {"hostnames"}); names && names->is_array())
      for (const auto& n : *names)
        if (n.is_string()) line += "\t" + clean(n.get<std::string>());
    hosts += line + "\n";
  }
  return write_plain(paths.etc() / "hosts", hosts, 0644);
}

Result<std::vector<Device>> make_devices(const PodPaths& paths, const ContainerView& container, unsigned uid, unsigned gid) {
  struct Known {
    std::string_view resource;
    const char* name;
    unsigned major, minor;
    bool optional;             // of use only where the machine has it
  };
  static constexpr Known kKnown[] = {{api::kKvmDevice, "kvm", 10, 232, true},
                                     {api::kTunDevice, "net/tun", 10, 200, false},
                                     {api::kVhostNetDevice, "vhost-net", 10, 238, true}};
  std::vector<Device> out;
  for (const auto& k : kKnown) {
    const auto it = container.limits.find(std::string(k.resource));
    if (it == container.limits.end() || it->second.zero()) continue;
    struct stat st {};
    const std::string host = std::string("/dev/") + k.name;
    dev_t number = ::makedev(k.major, k.minor);
    if (::stat(host.c_str(), &st) == 0 && S_ISCHR(st.st_mode)) number = st.st_rdev;
    else if (k.optional) continue;
    // A node of its own: the host's keeps its owner and mode.
    std::string file = k.name;
    std::replace(file.begin(), file.end(), '/', '-');
    NV_TRY_VOID(make_dirs(paths.devices(), 0711));
    const auto path = paths.devices() / file;
    ::unlink(path.c_str());
    if (::mknod(path.c_str(), S_IFCHR | 0600, number) != 0) return errno_error(errno, "make the device " + path.string());
    if (::chown(path.c_str(), uid, gid) != 0) return errno_error(errno, "give the device " + path.string() + " to the pod");
    out.push_back({path.string(), "/dev/" + std::string(k.name)});
  }
  return out;
}

}  // namespace nodevirt::podrunner
