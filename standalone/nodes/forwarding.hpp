// net.ipv4.ip_forward of the machine: switched on while an instance needs it, then put back.
#pragma once
#include <filesystem>
#include <string>

#include "standalone/nodes/machine_lock.hpp"

namespace nodevirt::nodes {

/// Where to look; tests name their own.
struct ForwardingPlaces {
  std::filesystem::path record_dir = kMachineFolder;   ///< forgotten with the machine's uptime, as the setting is
  std::filesystem::path setting = "/proc/sys/net/ipv4/ip_forward";
  std::filesystem::path links = "/sys/class/net";
};

/// Instances are counted by their bridges (nvbr...), which no crash takes away: make the bridge, then hold; remove the
/// bridge, then release. What was there before is on disk before anything is changed. Safe against other instances that
/// come and go at the same time.
Result<void> hold_forwarding(const ForwardingPlaces& places = {});
/// Puts back what was there before, when it was one of us who changed it and no instance is left.
Result<void> release_forwarding(const ForwardingPlaces& places = {});

}  // namespace nodevirt::nodes
