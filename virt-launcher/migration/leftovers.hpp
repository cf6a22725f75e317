// What a migration leaves in QEMU when libvirt dies in the middle of copying disks: mirror jobs, and the nodes that led
// to the target's copies. The next libvirtd does not look for them, and libvirt gives the next migration's the same names
// ("migration-vda-format", "migration-vda-storage").
#pragma once
#include <chrono>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "pkg/base/json.hpp"
#include "pkg/base/result.hpp"

namespace nodevirt::virt_launcher::migration {

/// One QMP command, its `return`.
using Execute = std::function<Result<Json>(std::string_view command, const Json& arguments)>;

/// Ends such jobs and removes such nodes; to be called when no migration runs. Blocks for at most 5 s.
Result<void> drop_leftovers(const Execute& execute);

/// Whether this QEMU can copy disks (still): FailedPrecondition with reason CopyFilterStays when not. To be asked after
/// drop_leftovers. When a copy breaks while QEMU stops the guest (its target dies in the few milliseconds in which what is
/// under way to it is awaited), QEMU loses count of the copy's filter in front of the disk (bdrv_next lets go of what the
/// disk's backend shows by then, not of what it had taken hold of; seen with 7.2). The filter stays without a
/// job, nothing removes it, and QEMU refuses every further copy of that disk ("Need a root block node"). The guest is
/// unharmed.
Result<void> can_copy(const Execute& execute);

/// A migration that was called off, and does not end. QEMU looks whether it was called off just before it waits for libvirt to
/// let it switch over; called off in between, it waits with the guest stopped, and libvirt, which has called it off, never
/// answers (seen with 7.2: the target's connection lost in that moment).
class Cancelling {
 public:
  /// To be called now and again while that may be so. True: it has been so for half a second, and QEMU was let go on to
  /// the end; to one that did not wait this does nothing.
  bool let_end(const Execute& execute, std::chrono::steady_clock::time_point now);

 private:
  std::optional<std::chrono::steady_clock::time_point> since_;
};

/// What QEMU has of jobs and nodes, in one line, for the log of a copy that failed.
std::string block_state(const Execute& execute);

}  // namespace nodevirt::virt_launcher::migration
