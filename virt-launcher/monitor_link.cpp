#include "virt-launcher/monitor_link.hpp"

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <sys/socket.h>

#include "pkg/base/log.hpp"

namespace nodevirt::virt_launcher {

void MonitorLink::send(const std::string& message) const {
  if (fd_ < 0) return;
  if (::send(fd_, message.data(), message.size(), MSG_NOSIGNAL) < 0)
    log::error("tell the monitor \"{}\": {}", message, std::strerror(errno));
}

void MonitorLink::keep(int fd) const {
  if (fd_ < 0) return;
  char text[] = "keep";
  iovec part{text, sizeof text - 1};
  alignas(cmsghdr) char room[CMSG_SPACE(sizeof fd)] = {};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  if (fd >= 0) {
    message.msg_control = room;
    message.msg_controllen = sizeof room;
    cmsghdr* head = CMSG_FIRSTHDR(&message);
    head->cmsg_level = SOL_SOCKET;
    head->cmsg_type = SCM_RIGHTS;
    head->cmsg_len = CMSG_LEN(sizeof fd);
    std::memcpy(CMSG_DATA(head), &fd, sizeof fd);
  }
  if (::sendmsg(fd_, &message, MSG_NOSIGNAL) < 0) log::error("have the monitor keep a descriptor: {}", std::strerror(errno));
}

Fd MonitorLink::kept() {
  const char* text = std::getenv("NODEVIRT_KEPT_FD");
  int fd = text ? std::atoi(text) : -1;
  ::unsetenv("NODEVIRT_KEPT_FD");
  if (fd <= 2 || ::fcntl(fd, F_SETFD, FD_CLOEXEC) != 0) return {};
  return Fd(fd);
}

std::string MonitorLink::receive(bool& closed) const {
  char buffer[128];
  ssize_t n = ::recv(fd_, buffer, sizeof buffer, MSG_DONTWAIT);
  closed = n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR);
  return n > 0 ? std::string(buffer, static_cast<std::size_t>(n)) : std::string();
}

}  // namespace nodevirt::virt_launcher
