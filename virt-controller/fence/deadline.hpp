// When the guests of a silent node are known to be dead. Pure.
//
// A node's Lease promises for each pod with an entry: its monitor kills QEMU, and ends the pod for good, at most N
// seconds after the Lease last changed (api/fence.hpp). We conclude N plus a margin after we SAW it change:
//
//  - No wall clock is compared. We saw the change after it was made, by our own steady clock; what renewTime
//    says is only looked at as a text that changes. A controller that was started anew waits the whole time
//    again, and one whose machine slept waits longer: both err on the safe side.
//  - The relay's delay is inside N: virt-handler counts from before it asked for the renewal.
//  - A cache may be behind. Before anything is done the server itself is asked whether the Lease is still the one
//    that we saw (Fences::confirm). If it is, then no renewal was made until that moment, which lies after every
//    deadline that was ever told; a renewal that comes later finds a pod that has ended.
//  - The margin is for what is left: two machines' clocks may run at different rates (1 % of N, ten times what a
//    disciplined clock may do), and the kernel needs its time to wake the monitor and to end QEMU (10 s).
//
// What it does not cover: a node whose monitor does not run at all for more than the margin while its QEMU does (somebody
// stopped it by hand), and a machine that was suspended, whose QEMU may run for the moment that the monitor
// needs to wake. QEMU's own locks on its images are there for that.
#pragma once
#include <cstdint>
#include <map>
#include <optional>
#include <string>

#include "pkg/base/clock.hpp"

namespace nodevirt::virt_controller::fence {

/// What we know of one node's Lease.
struct Renewal {
  std::string version;                          ///< resourceVersion: another one is another renewal
  Clock::Time seen{};                           ///< when we first saw this very one
  std::map<std::string, std::int64_t> entries;  ///< seconds by pod uid
};

/// Added to a fence of so many seconds.
Clock::Duration margin(std::int64_t seconds);

/// The time until the guest of that pod is known to be dead, zero when it is; nothing when it has no fence.
std::optional<Clock::Duration> time_left(const Renewal& renewal, const std::string& pod_uid, Clock::Time now);

}  // namespace nodevirt::virt_controller::fence
