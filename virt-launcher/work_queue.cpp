#include "virt-launcher/work_queue.hpp"

#include <sys/eventfd.h>
#include <unistd.h>

namespace nodevirt::virt_launcher {

WorkQueue::WorkQueue() : wake_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) { NV_CHECK(wake_.get() >= 0); }

void WorkQueue::post(std::function<void()> work, std::chrono::milliseconds delay) {
  std::lock_guard lock(mutex_);
  work_.emplace(Clock::now() + delay, std::move(work));
  std::uint64_t one = 1;
  [[maybe_unused]] ssize_t n = ::write(wake_.get(), &one, sizeof one);  // full is as good as woken
}

void WorkQueue::run_ready() {
  std::uint64_t count;
  [[maybe_unused]] ssize_t n = ::read(wake_.get(), &count, sizeof count);
  for (;;) {
    std::function<void()> next;
    {
      std::lock_guard lock(mutex_);
      if (work_.empty() || work_.begin()->first > Clock::now()) return;
      next = std::move(work_.begin()->second);
      work_.erase(work_.begin());
    }
    next();
  }
}

int WorkQueue::wait_ms() const {
  std::lock_guard lock(mutex_);
  if (work_.empty()) return -1;
  auto left = std::chrono::ceil<std::chrono::milliseconds>(work_.begin()->first - Clock::now()).count();
  return left < 0 ? 0 : static_cast<int>(std::min<long long>(left, 3600000));
}

}  // namespace nodevirt::virt_launcher
