// The third layer of the work queue: how long a key that failed has to wait.
#pragma once
#include <string>
#include <unordered_map>

#include "pkg/base/clock.hpp"

namespace nodevirt::runtime {

/// min, 2 min, 4 min ... max, per key, until it is forgotten.
class RateLimiter {
 public:
  RateLimiter(Clock::Duration min, Clock::Duration max) : min_(min), max_(max) {}
  Clock::Duration next(const std::string& key);
  void forget(const std::string& key) { failures_.erase(key); }
  int failures(const std::string& key) const;

 private:
  Clock::Duration min_, max_;
  std::unordered_map<std::string, int> failures_;
};

}  // namespace nodevirt::runtime
