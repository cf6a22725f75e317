// Work for one thread, now or later.
#pragma once
#include <chrono>
#include <functional>
#include <map>
#include <mutex>

#include "pkg/base/file.hpp"

namespace nodevirt::virt_launcher {

/// post() from any thread; run_ready() on the owner's. `fd()` becomes readable when there is something to run.
class WorkQueue {
 public:
  WorkQueue();
  void post(std::function<void()> work, std::chrono::milliseconds delay = std::chrono::milliseconds(0));
  void run_ready();
  int fd() const { return wake_.get(); }
  /// Until the next delayed piece of work; -1 when there is none.
  int wait_ms() const;

 private:
  using Clock = std::chrono::steady_clock;
  Fd wake_;
  mutable std::mutex mutex_;
  std::multimap<Clock::time_point, std::function<void()>> work_;
};

}  // namespace nodevirt::virt_launcher
