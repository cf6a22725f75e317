#include "virt-launcher/options.hpp"

#include <charconv>

#include "api/names.hpp"

namespace nodevirt::virt_launcher {

namespace {

// These become file names and parts of a domain's name.
bool plain(const std::string& s) {
  if (s.empty() || s.size() > 253 || s[0] == '.') return false;
  for (char c : s)
    if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '.')) return false;
  return true;
}

}  // namespace

Result<Options> parse_options(const std::vector<std::string>& args) {
  Options o;
  for (std::size_t i = 0; i < args.size(); ++i) {
    std::string flag = args[i], value;
    if (auto eq = flag.find('='); eq != std::string::npos) {
      value = flag.substr(eq + 1);
      flag.resize(eq);
    } else if (i + 1 < args.size()) {
      value = args[++i];
    } else {
      return Error(Code::InvalidArgument, flag + " needs a value");
    }
    if (flag == "--name") o.name = value;
    else if (flag == "--namespace") o.namespace_ = value;
    else if (flag == "--uid") o.uid = value;
    else if (flag == "--root") o.root = value;
    else if (flag == "--monitor-fd") {
      auto [end, failed] = std::from_chars(value.data(), value.data() + value.size(), o.monitor_fd);
      if (failed != std::errc() || end != value.data() + value.size())
        return Error(Code::InvalidArgument, "--monitor-fd: " + value + " is no descriptor");
    } else {
      return Error(Code::InvalidArgument, "unknown flag " + flag);
    }
  }
  for (auto& [flag, value] : {std::pair{"--name", &o.name}, {"--namespace", &o.namespace_}, {"--uid", &o.uid}})
    if (!plain(*value))
      return Error(Code::InvalidArgument, fmt::format("{} must consist of letters, digits, '-' and '.'", flag));
  return o;
}

Paths::Paths(const Options& o) {
  auto at = [&](std::string_view path) { return std::filesystem::path(o.root + std::string(path)); };
  sockets = at(api::kSocketsDir);
  private_ = at(api::kPrivateDir);
  disks = at(api::kDisksDir);
  secrets = at(api::kSecretsDir);
  ephemeral = at(api::kEphemeralDir);
  container_disks = at(api::kContainerDisksDir);
  libvirt = at(api::kLibvirtDir);
  migration = at(api::kMigrationDir);
  instance = private_ / o.uid;
}

std::string Paths::libvirt_uri() const {
  return "qemu+unix:///session?socket=" + (libvirt / "run/libvirt/libvirt-sock").string();
}

std::filesystem::path Paths::qemu_log(const std::string& domain) const {
  return libvirt / "cache/libvirt/qemu/log" / (domain + ".log");
}

std::filesystem::path Paths::qemu_pid_file(const std::string& domain) const {
  return libvirt / "run/libvirt/qemu/run" / (domain + ".pid");
}

}  // namespace nodevirt::virt_launcher
