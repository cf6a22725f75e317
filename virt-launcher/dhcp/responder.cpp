#include "virt-launcher/dhcp/responder.hpp"

#include <arpa/inet.h>
#include <cerrno>
#include <cstring>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "pkg/base/log.hpp"

namespace nodevirt::virt_launcher::dhcp {

namespace {

Result<Fd> open_socket(const std::string& bridge) {
  Fd fd(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd) return errno_error(errno, "make a socket");
  int on = 1;
  ::setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  ::setsockopt(fd.get(), SOL_SOCKET, SO_BROADCAST, &on, sizeof on);
  if (bridge.size() >= IFNAMSIZ ||
      ::setsockopt(fd.get(), SOL_SOCKET, SO_BINDTODEVICE, bridge.c_str(), static_cast<socklen_t>(bridge.size() + 1)) != 0)
    return errno_error(errno, "bind to the device " + bridge);
  sockaddr_in any{};
  any.sin_family = AF_INET;
  any.sin_port = htons(67);
  if (::bind(fd.get(), reinterpret_cast<sockaddr*>(&any), sizeof any) != 0)
    return errno_error(errno, "bind to the DHCP port on " + bridge);
  return fd;
}

}  // namespace

Result<std::unique_ptr<Responder>> Responder::start(std::vector<Service> services) {
  std::unique_ptr<Responder> r(new Responder());
  for (auto& s : services) {
    NV_TRY(Fd fd, open_socket(s.bridge));
    r->ports_.push_back({std::move(s), std::move(fd)});
  }
  r->stop_ = Fd(::eventfd(0, EFD_CLOEXEC));
  if (!r->stop_) return errno_error(errno, "eventfd");
  r->thread_ = std::thread([self = r.get()] { self->run(); });
  return r;
}

Responder::~Responder() {
  if (!thread_.joinable()) return;
  std::uint64_t one = 1;
  while (::write(stop_.get(), &one, sizeof one) < 0 && errno == EINTR) {}
  thread_.join();
}

bool Responder::acknowledged(const std::string& interface) const {
  std::lock_guard lock(mutex_);
  return acknowledged_.count(interface) > 0;
}

void Responder::run() {
  std::vector<pollfd> fds;
  for (auto& p : ports_) fds.push_back({p.socket.get(), POLLIN, 0});
  fds.push_back({stop_.get(), POLLIN, 0});
  for (;;) {
    if (::poll(fds.data(), fds.size(), -1) < 0 && errno != EINTR) return;
    if (fds.back().revents) return;
    for (std::size_t i = 0; i < ports_.size(); ++i)
      if (fds[i].revents) answer(ports_[i]);
  }
}

void Responder::answer(Port& port) {
  std::uint8_t buffer[1500];
  ssize_t n = ::recv(port.socket.get(), buffer, sizeof buffer, 0);
  if (n <= 0) return;
  auto request = parse_request({buffer, static_cast<std::size_t>(n)});
  if (!request.ok()) return log::debug("dhcp {}: {}", port.service.interface, request.error().message);
  auto reply = build_reply(*request, port.service.lease);
  if (!reply) return;
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_port = htons(68);
  bool unicast = request->client_ip == port.service.lease.ip && !(request->flags & 0x8000);
  to.sin_addr.s_addr = htonl(unicast ? request->client_ip : INADDR_BROADCAST);
  if (::sendto(port.socket.get(), reply->data(), reply->size(), 0, reinterpret_cast<sockaddr*>(&to), sizeof to) < 0)
    return log::warning("dhcp {}: answer: {}", port.service.interface, std::strerror(errno));
  constexpr std::size_t kTypeAt = 242;  // the value of the first option
  if (request->type != Type::Request || (*reply)[kTypeAt] != static_cast<std::uint8_t>(Type::Ack)) return;
  std::lock_guard lock(mutex_);
  if (acknowledged_.insert(port.service.interface).second)
    log::info("dhcp {}: the guest took {}", port.service.interface, format_ip(port.service.lease.ip));
}

}  // namespace nodevirt::virt_launcher::dhcp
