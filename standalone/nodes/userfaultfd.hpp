// vm.unprivileged_userfaultfd of the machine, which post-copy needs: switched on while an instance that asked for it is
// there, then put back. It lets every program of the machine use userfaultfd; so nobody gets it who did not ask.
#pragma once
#include <filesystem>
#include <string>

#include "standalone/nodes/machine_lock.hpp"

namespace nodevirt::nodes {

/// Where to look; tests name their own.
struct UserfaultfdPlaces {
  std::filesystem::path record_dir = kMachineFolder;   ///< forgotten with the machine's uptime, as the setting is
  std::filesystem::path setting = "/proc/sys/vm/unprivileged_userfaultfd";
  std::filesystem::path links = "/sys/class/net";
};

/// `bridge` is the instance's: who asked is remembered by it, and counts as long as it is there, which no crash ends. What was
/// there before is on disk before anything is changed. True when this call has changed the setting.
/// FailedPrecondition where the kernel has no userfaultfd.
Result<bool> hold_userfaultfd(const std::string& bridge, const UserfaultfdPlaces& places = {});
/// This instance asks no more. Puts back what was there before, when it was one of us who changed it and nobody else asks.
Result<void> release_userfaultfd(const std::string& bridge, const UserfaultfdPlaces& places = {});

}  // namespace nodevirt::nodes
