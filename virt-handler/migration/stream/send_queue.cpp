#include "virt-handler/migration/stream/send_queue.hpp"

#include <algorithm>
#include <cstddef>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

namespace nodevirt::virt_handler::migration {

namespace {

using namespace std::chrono_literals;

constexpr auto kLookEvery = 100ms;
constexpr std::uint64_t kPerSecond = 1000 / 20;     // 20 ms of the link
// Less would wake the pump for a few packets each; more is no wait worth speaking of on links that carry it.
constexpr std::uint64_t kLeast = 128u << 10, kMost = 4u << 20;

/// What Linux 4.9 and later tell; the C library's structure ends before it.
struct TcpInfo {
  tcp_info first;
  std::uint64_t pacing_rate, max_pacing_rate, bytes_acked, bytes_received;
  std::uint32_t segments_out, segments_in, unsent, least_rtt, data_segments_in, data_segments_out;
  std::uint64_t delivery_rate;      ///< bytes per second
};
static_assert(offsetof(TcpInfo, delivery_rate) == 160);

}  // namespace

std::uint32_t unsent_limit(std::uint64_t delivered_bytes_per_second) {
  return static_cast<std::uint32_t>(std::clamp(delivered_bytes_per_second / kPerSecond, kLeast, kMost));
}

void SendQueue::follow() {
  auto now = Clock::now();
  if (now < next_) return;
  next_ = now + kLookEvery;
  TcpInfo info{};
  socklen_t size = sizeof info;
  // The kernel measures what was acknowledged while there was enough to send: a pump that comes late does not lower it.
  if (::getsockopt(fd_, IPPROTO_TCP, TCP_INFO, &info, &size) != 0 || info.delivery_rate == 0) return;
  auto limit = unsent_limit(info.delivery_rate);
  if (limit > limit_ / 10 * 9 && limit < limit_ / 10 * 11) return;
  limit_ = limit;
  ::setsockopt(fd_, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &limit, sizeof limit);
}

}  // namespace nodevirt::virt_handler::migration
