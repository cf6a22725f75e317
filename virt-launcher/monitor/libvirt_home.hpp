// The folders and configuration of the pod's libvirt daemon.
#pragma once
#include <string>
#include <vector>

namespace nodevirt::monitor {

/// Prepares DIR for a session daemon: `run`, `config`, `cache` and `drivers` (only QEMU's, where that can be
/// told), the configuration with a host UUID of its own, and the node's QEMU capability cache copied in.
/// Repeating it keeps what is there. False with a message in `error`.
bool prepare_libvirt_home(const std::string& dir, const std::string& capability_cache, std::string& error);

/// NAME=VALUE pairs that make libvirtd (and its QEMU) live in DIR.
std::vector<std::string> libvirt_environment(const std::string& dir);

/// The daemon's socket: "DIR/run/libvirt/libvirt-sock".
inline std::string libvirt_socket(const std::string& dir) { return dir + "/run/libvirt/libvirt-sock"; }

}  // namespace nodevirt::monitor
