#include "virt-handler/streams/pod_connect.hpp"

#include <arpa/inet.h>
#include <cerrno>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <fmt/format.h>

#include "virt-handler/network/netns.hpp"

namespace nodevirt::virt_handler {
namespace {

namespace asio = boost::asio;

Result<int> socket_in_pod(pid_t pid, bool udp) {
  NV_TRY(Fd netns, open_pod_netns(pid));
  int made = -1;
  auto make = [&made, udp]() -> Result<void> {
    made = socket(AF_INET, (udp ? SOCK_DGRAM : SOCK_STREAM) | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (made < 0) return errno_error(errno, "make a socket in the pod");
    return {};
  };
  NV_TRY_VOID(in_netns(netns.get(), make));
  return made;
}

/// True when the socket became writable in time.
Awaitable<bool> wait_writable(std::shared_ptr<asio::posix::stream_descriptor> descriptor) {
  Executor executor = co_await asio::this_coro::executor;
  auto timer = std::make_shared<asio::steady_timer>(executor, std::chrono::seconds(10));
  auto expired = [descriptor](const boost::system::error_code& error) {
    boost::system::error_code ignored;
    if (!error) descriptor->cancel(ignored);
  };
  timer->async_wait(expired);
  boost::system::error_code error;
  auto token = asio::redirect_error(asio::use_awaitable, error);
  co_await descriptor->async_wait(asio::posix::descriptor_base::wait_write, token);
  timer->cancel();
  co_return !error;
}

}  // namespace

Awaitable<Result<std::shared_ptr<net::ByteStream>>> connect_guest(pid_t pid, std::string address, std::uint16_t port, bool udp) {
  auto make = [pid, udp] { return socket_in_pod(pid, udp); };
  auto made = co_await blocking(make);
  if (!made.ok()) co_return made.error();
  Fd fd(*made);
  sockaddr_in target{};
  target.sin_family = AF_INET;
  target.sin_port = htons(port);
  if (inet_pton(AF_INET, address.c_str(), &target.sin_addr) != 1)
    co_return Error{Code::FailedPrecondition, "the instance has no address to forward to"};
  std::string what = fmt::format("connect to port {} of the guest", port);
  Executor executor = co_await asio::this_coro::executor;
  if (connect(fd.get(), reinterpret_cast<const sockaddr*>(&target), sizeof target) != 0) {
    if (errno != EINPROGRESS) co_return errno_error(errno, what);
    auto descriptor = std::make_shared<asio::posix::stream_descriptor>(executor, fd.get());
    bool ready = co_await wait_writable(descriptor);
    descriptor->release();
    if (!ready) co_return Error{Code::DeadlineExceeded, what + ": no answer within 10 s"};
    int failed = 0;
    socklen_t size = sizeof failed;
    getsockopt(fd.get(), SOL_SOCKET, SO_ERROR, &failed, &size);
    if (failed != 0) co_return errno_error(failed, what);
  }
  if (!udp) {
    int on = 1;
    setsockopt(fd.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  }
  co_return std::shared_ptr<net::ByteStream>(net::adopt_socket(executor, fd.release()));
}

}  // namespace nodevirt::virt_handler
