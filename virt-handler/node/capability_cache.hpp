// QEMU's capabilities, probed once per node: without them each launcher's libvirt would spend two seconds on it.
#pragma once
#include <filesystem>
#include <string>

#include "pkg/base/async.hpp"

namespace nodevirt::virt_handler {

struct CapabilityCacheOptions {
  std::filesystem::path dir;         ///< gets libvirt's files (SHA.xml), readable by everybody
  std::filesystem::path state_dir;
  unsigned launcher_uid = 107;
  std::filesystem::path kvm = "/dev/kvm";  ///< launchers get one of their own where this exists, whether it works or not:
                                           ///< libvirt probes again when what it sees differs from what was probed
  std::string qemu = "qemu-system-x86_64", libvirtd = "libvirtd";
};

/// Fills the folder unless it fits the programs installed now. Takes 2 to 3 s when it has to.
/// A failure costs speed and nothing else.
Awaitable<Result<void>> fill_capability_cache(CapabilityCacheOptions options);

}  // namespace nodevirt::virt_handler
