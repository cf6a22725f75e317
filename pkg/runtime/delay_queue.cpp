#include "pkg/runtime/delay_queue.hpp"

namespace nodevirt::runtime {

void DelayQueue::add(std::string key, Clock::Time due) {
  auto it = by_key_.find(key);
  if (it != by_key_.end()) {
    if (it->second <= due) return;
    for (auto [at, end] = by_time_.equal_range(it->second); at != end; ++at)
      if (at->second == key) {
        by_time_.erase(at);
        break;
      }
    it->second = due;
  } else {
    by_key_.emplace(key, due);
  }
  by_time_.emplace(due, std::move(key));
}

std::vector<std::string> DelayQueue::take_due(Clock::Time now) {
  std::vector<std::string> out;
  while (!by_time_.empty() && by_time_.begin()->first <= now) {
    out.push_back(std::move(by_time_.begin()->second));
    by_time_.erase(by_time_.begin());
    by_key_.erase(out.back());
  }
  return out;
}

std::optional<Clock::Time> DelayQueue::next() const {
  if (by_time_.empty()) return std::nullopt;
  return by_time_.begin()->first;
}

}  // namespace nodevirt::runtime
