// How much of a stream may wait in the kernel before it has been sent: what the link carries in a few milliseconds. All that
// waits there QEMU takes for sent already, and the guest stands still for it when its last step comes; the kernel's own bound
// grows to megabytes on a slow link.
#pragma once
#include <chrono>
#include <cstdint>

namespace nodevirt::virt_handler::migration {

/// TCP_NOTSENT_LOWAT for a link that delivers so much; bytes.
std::uint32_t unsent_limit(std::uint64_t delivered_bytes_per_second);

/// Keeps it on one TCP connection; on the thread that writes to it.
class SendQueue {
 public:
  /// Not an owner.
  explicit SendQueue(int fd) : fd_(fd) {}
  /// After each write; looks at most ten times a second.
  void follow();

 private:
  using Clock = std::chrono::steady_clock;
  int fd_;
  Clock::time_point next_{};
  std::uint32_t limit_ = 0;
};

}  // namespace nodevirt::virt_handler::migration
