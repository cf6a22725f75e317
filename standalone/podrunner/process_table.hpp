// Processes as /proc shows them.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <sys/types.h>
#include <vector>

#include "pkg/base/file.hpp"

namespace nodevirt::podrunner {

/// The moment a process started, in the kernel's ticks since boot: with the pid it names a process for good.
std::optional<std::uint64_t> start_time(pid_t pid);
std::string boot_id();

struct NamespaceId {
  std::uint64_t device = 0, inode = 0;
  explicit operator bool() const { return inode != 0; }
  friend bool operator==(const NamespaceId&, const NamespaceId&) = default;
};
/// Of a namespace file (a bind mount, or /proc/PID/ns/...); empty when it is not one.
NamespaceId namespace_id(const std::string& path);

struct ProcessInfo {
  pid_t pid = 0;
  bool own_pid_namespace = false;   ///< lives in another pid namespace than ours
  std::string name;                 ///< comm
};
/// Every process whose network namespace is `net`.
std::vector<ProcessInfo> processes_in(const NamespaceId& net);

/// A descriptor that becomes readable when the process has ended; NotFound when there is none.
Result<Fd> open_pid(pid_t pid);
/// Whether a SIGTERM would be noticed: PID 1 of a namespace loses those that come before it has a handler.
bool heeds_sigterm(pid_t pid);
/// The pid in the innermost namespace (the last of NSpid); 0 when unknown.
pid_t inner_pid(pid_t pid);

}  // namespace nodevirt::podrunner
