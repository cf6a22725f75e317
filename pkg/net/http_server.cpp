#include "pkg/net/http_server.hpp"

#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <boost/asio/as_tuple.hpp>
#include <cstring>
#include <fstream>

#include "pkg/base/file.hpp"
#include "pkg/base/log.hpp"
#include "pkg/net/port_holder.hpp"
#include "pkg/net/server_connection.hpp"

namespace nodevirt::net {

namespace asio = boost::asio;

namespace {

constexpr auto kTuple = asio::as_tuple(asio::use_awaitable);
using Listener = asio::posix::stream_descriptor;

Peer describe(int fd) {
  Peer peer;
  sockaddr_storage address{};
  socklen_t size = sizeof address;
  ::getpeername(fd, reinterpret_cast<sockaddr*>(&address), &size);
  char text[INET6_ADDRSTRLEN] = "";
  if (address.ss_family == AF_INET) {
    auto& v4 = reinterpret_cast<sockaddr_in&>(address);
    ::inet_ntop(AF_INET, &v4.sin_addr, text, sizeof text);
    peer.address = fmt::format("{}:{}", text, ntohs(v4.sin_port));
  } else if (address.ss_family == AF_INET6) {
    auto& v6 = reinterpret_cast<sockaddr_in6&>(address);
    ::inet_ntop(AF_INET6, &v6.sin6_addr, text, sizeof text);
    peer.address = fmt::format("[{}]:{}", text, ntohs(v6.sin6_port));
  } else {
    peer.address = "unix";
    ucred who{};
    socklen_t n = sizeof who;
    if (::getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &n) == 0) {
      peer.uid = who.uid;
      peer.pid = who.pid;
    }
  }
  return peer;
}

}  // namespace

struct HttpServer::Impl {
  std::shared_ptr<ServerShared> shared;
  std::vector<std::shared_ptr<Listener>> listeners;
  std::vector<std::string> unix_paths;
  std::shared_ptr<asio::steady_timer> wake;
  int accepting = 0;

  void ring() { wake->cancel(); }

  static Awaitable<void> accept_loop(std::shared_ptr<Impl> self, std::shared_ptr<Listener> listener) {
    while (!self->shared->stopping) {
      int fd = ::accept4(listener->native_handle(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK);
      if (fd >= 0) {
        auto peer = describe(fd);
        auto stream = std::make_shared<FdStream>(self->shared->executor, fd);
        auto connection = std::make_shared<ServerConnection>(self->shared, std::move(stream), std::move(peer));
        spawn(self->shared->executor, ServerConnection::serve(std::move(connection)), "net: connection");
        continue;
      }
      if (errno == ECONNABORTED || errno == EINTR || errno == EPROTO) continue;
      if (errno == EAGAIN) {
        auto [ec] = co_await listener->async_wait(Listener::wait_read, kTuple);
        if (ec) break;
        continue;
      }
      // Out of descriptors or memory: others must end first.
      log::warning("accept a connection: {}", std::strerror(errno));
      asio::steady_timer pause(self->shared->executor, std::chrono::milliseconds(100));
      auto [ec] = co_await pause.async_wait(kTuple);
      (void)ec;
    }
    --self->accepting;
    self->ring();
  }
};

HttpServer::HttpServer(Executor executor, Options options, Handler handler) : impl_(std::make_shared<Impl>()) {
  impl_->shared = std::make_shared<ServerShared>(executor, std::move(options), std::move(handler));
  impl_->wake = std::make_shared<asio::steady_timer>(executor, asio::steady_timer::time_point::max());
}

HttpServer::~HttpServer() {
  impl_->shared->on_empty = nullptr;
  for (const auto& path : impl_->unix_paths) ::unlink(path.c_str());
}

Result<void> HttpServer::adopt_listener(int fd) {
  impl_->listeners.push_back(std::make_shared<Listener>(impl_->shared->executor, fd));
  impl_->listeners.back()->native_non_blocking(true);
  return {};
}

Result<std::uint16_t> HttpServer::listen_tcp(const std::string& address, std::uint16_t port) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_PASSIVE | AI_NUMERICSERV;
  addrinfo* list = nullptr;
  int r = ::getaddrinfo(address.empty() ? nullptr : address.c_str(), std::to_string(port).c_str(), &hints, &list);
  if (r != 0)
    return Error(Code::InvalidArgument, fmt::format("listen on {}:{}: {}", address, port, ::gai_strerror(r)));
  std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)> owner(list, ::freeaddrinfo);
  Fd fd(::socket(list->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd) return errno_error(errno, "make a socket");
  int one = 1;
  ::setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
  auto what = fmt::format("listen on {}:{}", address, port);
  if (::bind(fd.get(), list->ai_addr, list->ai_addrlen) != 0 || ::listen(fd.get(), 256) != 0) {
    if (errno != EADDRINUSE) return errno_error(errno, what);
    auto holder = port_holder(port);
    return Error(Code::AlreadyExists, what + ": the port is taken" + (holder.empty() ? "" : " by " + holder) +
                                          "; stop it or choose another port");
  }
  sockaddr_storage bound{};
  socklen_t size = sizeof bound;
  ::getsockname(fd.get(), reinterpret_cast<sockaddr*>(&bound), &size);
  auto chosen = ntohs(bound.ss_family == AF_INET6 ? reinterpret_cast<sockaddr_in6&>(bound).sin6_port
                                                  : reinterpret_cast<sockaddr_in&>(bound).sin_port);
  NV_TRY_VOID(adopt_listener(fd.release()));
  return chosen;
}

Result<void> HttpServer::listen_unix(const std::string& path, unsigned mode) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path)
    return Error(Code::InvalidArgument, "listen on " + path + ": the path is too long for a socket");
  std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
  auto* name = reinterpret_cast<sockaddr*>(&address);
  Fd probe(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!probe) return errno_error(errno, "make a socket");
  if (::connect(probe.get(), name, sizeof address) == 0 || errno == EAGAIN)
    return Error(Code::AlreadyExists, "listen on " + path + ": another program serves there");
  struct stat info{};
  if (::lstat(path.c_str(), &info) == 0) {
    if (!S_ISSOCK(info.st_mode)) return Error(Code::AlreadyExists, "listen on " + path + ": it is not a socket");
    ::unlink(path.c_str());
  }
  Fd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  // The mode is there from the first moment: no connection can come before listen().
  if (::bind(fd.get(), name, sizeof address) != 0) return errno_error(errno, "listen on " + path);
  if (::chmod(path.c_str(), mode) != 0 || ::listen(fd.get(), 256) != 0) return errno_error(errno, "listen on " + path);
  impl_->unix_paths.push_back(path);
  return adopt_listener(fd.release());
}

Awaitable<void> HttpServer::run(StopToken stop, std::chrono::milliseconds grace) {
  auto self = impl_;
  auto shared = self->shared;
  shared->on_empty = [wake = self->wake] { wake->cancel(); };
  for (auto& listener : self->listeners) {
    ++self->accepting;
    spawn(shared->executor, Impl::accept_loop(self, listener), "net: accept");
  }
  std::function<void()> on_stop = [wake = self->wake] { wake->cancel(); };
  std::stop_callback<std::function<void()>> callback(stop, std::move(on_stop));
  while (!stop.stop_requested()) {
    auto [ec] = co_await self->wake->async_wait(kTuple);
    (void)ec;
  }
  shared->stopping = true;
  for (auto& listener : self->listeners) listener->close();
  auto all = [&shared] { return std::vector<ServerConnection*>(shared->connections.begin(), shared->connections.end()); };
  for (auto* c : all()) c->stop();
  auto until = std::chrono::steady_clock::now() + grace;
  for (int round = 0; round < 2; ++round) {
    while ((self->accepting > 0 || !shared->connections.empty()) && std::chrono::steady_clock::now() < until) {
      self->wake->expires_at(until);
      auto [ec] = co_await self->wake->async_wait(kTuple);
      (void)ec;
    }
    if (round == 0) {
      for (auto* c : all()) c->kill();
      until = std::chrono::steady_clock::now() + std::max(grace, std::chrono::milliseconds(1000));
    }
  }
  if (!shared->connections.empty())
    log::warning("{} requests did not end when their connections were closed", shared->connections.size());
  self->listeners.clear();
}

}  // namespace nodevirt::net
