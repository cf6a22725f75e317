// Where things are: what was installed (or built), and what lies under the data directory.
#pragma once
#include <filesystem>
#include <string>

#include "pkg/base/result.hpp"

namespace nodevirt::supervisor {

inline constexpr std::string_view kDefaultDataDir = "/var/lib/nodevirt";
inline constexpr std::string_view kVersion = NODEVIRT_VERSION;

struct Installation {
  std::filesystem::path self;       ///< this binary
  std::filesystem::path programs;   ///< holds virt-launcher and virt-launcher-monitor; bound into launcher pods
  std::filesystem::path share;      ///< holds manifests/
  std::filesystem::path probe_kernel;   ///< boots when KVM works; empty: there is none, and KVM is not used
};

/// $NODEVIRT_PROGRAM_DIR and $NODEVIRT_SHARE_DIR; else PREFIX/lib/nodevirt and PREFIX/share/nodevirt when this
/// binary is PREFIX/bin/nodevirt; else what a build folder holds. FailedPrecondition names what is missing.
Result<Installation> find_installation();

struct DataDir {
  std::filesystem::path root;
  std::filesystem::path instance() const { return root / "instance.json"; }
  std::filesystem::path pki() const { return root / "pki"; }
  std::filesystem::path kubeconfig() const { return root / "kubeconfig"; }
  std::filesystem::path run() const { return root / "run"; }
  std::filesystem::path log() const { return root / "log"; }
  std::filesystem::path lock() const { return run() / "supervisor.pid"; }
  std::filesystem::path control() const { return run() / "control.sock"; }
  std::filesystem::path log_of(const std::string& program) const { return log() / (program + ".log"); }
  std::filesystem::path node(const std::string& name) const { return root / "nodes" / name; }
};

/// Absolute, without "." and "..", as instance names are derived from it.
DataDir data_dir_at(const std::string& path);

}  // namespace nodevirt::supervisor
