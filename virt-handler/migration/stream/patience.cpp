#include "virt-handler/migration/stream/patience.hpp"

#include <algorithm>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

namespace nodevirt::virt_handler::migration {

using std::chrono::milliseconds;

namespace {

constexpr milliseconds kLookEvery{500};

}  // namespace

std::optional<milliseconds> user_timeout(milliseconds silent, bool under_way, const Patience& patience) {
  if (silent >= patience.longest) return std::nullopt;
  if (silent < patience.again / 2) return patience.ordinary;
  return silent + (under_way ? patience.again : std::max(patience.again, silent / 3));
}

milliseconds PatientConnection::look() {
  auto now = Clock::now();
  if (now < next_) return silent_;
  next_ = now + kLookEvery;
  tcp_info info{};
  socklen_t size = sizeof info;
  if (::getsockopt(fd_, IPPROTO_TCP, TCP_INFO, &info, &size) != 0) return silent_;
  silent_ = milliseconds(std::min(info.tcpi_last_data_recv, info.tcpi_last_ack_recv));
  bool under_way = info.tcpi_unacked > 0;
  if (auto timeout = user_timeout(silent_, under_way, patience_)) {
    unsigned ms = static_cast<unsigned>(timeout->count());
    ::setsockopt(fd_, IPPROTO_TCP, TCP_USER_TIMEOUT, &ms, sizeof ms);
  }
  int on = 1;
  if (silent_ >= patience_.again / 2 && !under_way) ::setsockopt(fd_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);  // sends what can be sent now
  return silent_;
}

}  // namespace nodevirt::virt_handler::migration
