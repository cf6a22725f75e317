// The second layer of the work queue: keys that become due later.
#pragma once
#include <map>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "pkg/base/clock.hpp"

namespace nodevirt::runtime {

/// A key waits at most once, for its earliest time.
class DelayQueue {
 public:
  void add(std::string key, Clock::Time due);
  /// The keys that are due at `now`, earliest first.
  std::vector<std::string> take_due(Clock::Time now);
  std::optional<Clock::Time> next() const;
  bool empty() const { return by_key_.empty(); }

 private:
  std::multimap<Clock::Time, std::string> by_time_;
  std::unordered_map<std::string, Clock::Time> by_key_;
};

}  // namespace nodevirt::runtime
