#include "virt-launcher/monitor_link.hpp"

#include <cerrno>
#include <cstring>
#include <sys/socket.h>

#include "pkg/base/log.hpp"

namespace nodevirt::virt_launcher {

void MonitorLink::send(const std::string& message) const {
  if (fd_ < 0) return;
  if (::send(fd_, message.data(), message.size(), MSG_NOSIGNAL) < 0)
    log::error("tell the monitor \"{}\": {}", message, std::strerror(errno));
}

std::string MonitorLink::receive(bool& closed) const {
  char buffer[128];
  ssize_t n = ::recv(fd_, buffer, sizeof buffer, MSG_DONTWAIT);
  closed = n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR);
  return n > 0 ? std::string(buffer, static_cast<std::size_t>(n)) : std::string();
}

}  // namespace nodevirt::virt_launcher
