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

std::optional<milliseconds> user_timeout(milliseconds silent, const Patience& patience) {
  if (silent >= patience.longest) return std::nullopt;
  return silent < patience.again / 2 ? patience.ordinary : silent + patience.again;
}

milliseconds PatientConnection::look() {
  auto now = Clock::now();
  if (now < next_) return silent_;
  next_ = now + kLookEvery;
  tcp_info info{};
  socklen_t size = sizeof info;
  if (::getsockopt(fd_, IPPROTO_TCP, TCP_INFO, &info, &size) != 0) return silent_;
  silent_ = milliseconds(std::min(info.tcpi_last_data_recv, info.tcpi_last_ack_recv));
  if (auto timeout = user_timeout(silent_, patience_)) {
    unsigned ms = static_cast<unsigned>(timeout->count());
    ::setsockopt(fd_, IPPROTO_TCP, TCP_USER_TIMEOUT, &ms, sizeof ms);
  }
  return silent_;
}

}  // namespace nodevirt::virt_handler::migration
