// The command line of virt-launcher, and where its things are.
#pragma once
#include <filesystem>
#include <string>
#include <vector>

#include "pkg/base/result.hpp"

namespace nodevirt::virt_launcher {

struct Options {
  std::string name, namespace_, uid;
  std::string root;     ///< stands before all paths of api/names.hpp; for tests
  int monitor_fd = -1;  ///< the launcher's end of the monitor's socket pair
};
Result<Options> parse_options(const std::vector<std::string>& args);

/// api/names.hpp's paths below `root`.
struct Paths {
  explicit Paths(const Options& options);

  std::filesystem::path sockets, private_, disks, secrets, ephemeral, container_disks, libvirt, migration;
  std::filesystem::path instance;         ///< kPrivateDir/UID: the domain's sockets
  std::filesystem::path console_log() const { return instance / "virt-serial0-log"; }
  std::string libvirt_uri() const;
  /// QEMU's own log and pid file for a domain of this name.
  std::filesystem::path qemu_log(const std::string& domain) const;
  std::filesystem::path qemu_pid_file(const std::string& domain) const;
  /// What survives the launcher: the last SyncRequest, and marks.
  std::filesystem::path sync_request() const { return libvirt / "sync-request"; }
  std::filesystem::path started_mark() const { return libvirt / "guest-started"; }
  std::filesystem::path shutdown_mark() const { return libvirt / "shutdown-requested"; }
};

}  // namespace nodevirt::virt_launcher
