#include "pkg/runtime/rate_limiter.hpp"

namespace nodevirt::runtime {

Clock::Duration RateLimiter::next(const std::string& key) {
  int n = failures_[key]++;
  if (n >= 40) return max_;
  Clock::Duration::rep factor = Clock::Duration::rep(1) << n;
  if (min_.count() > max_.count() / factor) return max_;
  return min_ * factor;
}

int RateLimiter::failures(const std::string& key) const {
  auto it = failures_.find(key);
  return it == failures_.end() ? 0 : it->second;
}

}  // namespace nodevirt::runtime
