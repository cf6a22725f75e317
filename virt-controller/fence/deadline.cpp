#include "virt-controller/fence/deadline.hpp"

#include <algorithm>

namespace nodevirt::virt_controller::fence {

Clock::Duration margin(std::int64_t seconds) { return std::chrono::seconds(10) + std::chrono::milliseconds(seconds * 10); }

std::optional<Clock::Duration> time_left(const Renewal& renewal, const std::string& pod_uid, Clock::Time now) {
  auto entry = renewal.entries.find(pod_uid);
  if (entry == renewal.entries.end()) return std::nullopt;
  Clock::Time due = renewal.seen + std::chrono::seconds(entry->second) + margin(entry->second);
  return std::max(Clock::Duration::zero(), Clock::Duration(due - now));
}

}  // namespace nodevirt::virt_controller::fence
