#include "standalone/dns/upstream.hpp"

#include <charconv>
#include <fcntl.h>
#include <sched.h>
#include <sys/socket.h>

#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ip/udp.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/write.hpp>

#include "pkg/base/file.hpp"
#include "pkg/base/id.hpp"

namespace nodevirt::dns {
namespace asio = boost::asio;
namespace {

constexpr std::size_t kMaxDatagram = 4096, kMaxStream = 65535;

/// A socket belongs to the namespace that it was made in, so this thread only goes there to make it.
Result<Fd> socket_in(int netns_fd, int type) {
  if (netns_fd < 0) {
    Fd fd(socket(AF_INET, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (!fd) return errno_error(errno, "make a socket");
    return fd;
  }
  Fd home(open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC));
  if (!home || setns(netns_fd, CLONE_NEWNET) != 0) return errno_error(errno, "enter the host's network namespace");
  Fd fd(socket(AF_INET, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  int failed = errno;
  NV_CHECK(setns(home.get(), CLONE_NEWNET) == 0);
  if (!fd) return errno_error(failed, "make a socket");
  return fd;
}

struct Where {
  asio::ip::address_v4 address;
  std::uint16_t port = 53;
};

std::optional<Where> parse_server(const std::string& text) {
  Where w;
  auto hash = text.find('#');
  boost::system::error_code error;
  w.address = asio::ip::make_address_v4(text.substr(0, hash), error);
  if (error) return std::nullopt;
  if (hash == std::string::npos) return w;
  const char* end = text.data() + text.size();
  auto parsed = std::from_chars(text.data() + hash + 1, end, w.port);
  return parsed.ec == std::errc{} && parsed.ptr == end ? std::optional(w) : std::nullopt;
}

/// Closes the socket when the time is over, which ends whatever is pending on it.
template <class Socket>
std::shared_ptr<asio::steady_timer> close_after(std::shared_ptr<Socket> socket, std::chrono::milliseconds d) {
  auto timer = std::make_shared<asio::steady_timer>(socket->get_executor(), d);
  timer->async_wait([socket, timer](boost::system::error_code ec) {
    boost::system::error_code ignored;
    if (!ec) socket->close(ignored);
  });
  return timer;
}

Awaitable<std::string> ask_datagram(Where where, int netns_fd, std::chrono::milliseconds timeout, Query query, std::string message) {
  auto executor = co_await asio::this_coro::executor;
  auto made = socket_in(netns_fd, SOCK_DGRAM);
  if (!made.ok()) co_return "";
  auto socket = std::make_shared<asio::ip::udp::socket>(executor, asio::ip::udp::v4(), made->release());
  boost::system::error_code error;
  auto token = asio::redirect_error(asio::use_awaitable, error);
  // Connected: the kernel drops datagrams of others.
  socket->connect({where.address, where.port}, error);
  if (error) co_return "";
  auto timer = close_after(socket, timeout);
  co_await socket->async_send(asio::buffer(message), token);
  std::string buffer(kMaxDatagram, '\0');
  std::string out;
  while (!error) {
    std::size_t n = co_await socket->async_receive(asio::buffer(buffer), token);
    if (error) break;
    std::string_view answer(buffer.data(), n);
    if (!answers(answer, query)) continue;   // somebody guesses
    out = answer;
    break;
  }
  timer->cancel();
  co_return out;
}

Awaitable<std::string> ask_stream(Where where, int netns_fd, std::chrono::milliseconds timeout, Query query, std::string message) {
  auto executor = co_await asio::this_coro::executor;
  auto made = socket_in(netns_fd, SOCK_STREAM);
  if (!made.ok()) co_return "";
  auto socket = std::make_shared<asio::ip::tcp::socket>(executor, asio::ip::tcp::v4(), made->release());
  auto timer = close_after(socket, timeout);
  boost::system::error_code error;
  auto token = asio::redirect_error(asio::use_awaitable, error);
  asio::ip::tcp::endpoint endpoint(where.address, where.port);
  co_await socket->async_connect(endpoint, token);
  std::string framed{static_cast<char>(message.size() >> 8), static_cast<char>(message.size() & 255)};
  framed += message;
  std::string out;
  if (!error) co_await asio::async_write(*socket, asio::buffer(framed), token);
  unsigned char head[2] = {0, 0};
  if (!error) co_await asio::async_read(*socket, asio::buffer(head), token);
  if (!error) {
    out.resize(std::min<std::size_t>(kMaxStream, static_cast<std::size_t>(head[0]) << 8 | head[1]));
    co_await asio::async_read(*socket, asio::buffer(out), token);
  }
  timer->cancel();
  co_return !error && answers(out, query) ? out : "";
}

}  // namespace

Awaitable<Result<std::string>> ask_upstream(UpstreamOptions options, Query query, std::string message, bool tcp) {
  const std::uint16_t asked_as = query.id;
  unsigned char random[2];
  random_bytes(random);
  query.id = static_cast<std::uint16_t>(random[0] << 8 | random[1]);
  message[0] = static_cast<char>(random[0]);
  message[1] = static_cast<char>(random[1]);
  for (const std::string& text : options.servers) {
    auto where = parse_server(text);
    if (!where) continue;
    std::string answer;
    if (tcp) answer = co_await ask_stream(*where, options.netns_fd, options.timeout, query, message);
    else answer = co_await ask_datagram(*where, options.netns_fd, options.timeout, query, message);
    if (answer.empty()) continue;
    answer[0] = static_cast<char>(asked_as >> 8);
    answer[1] = static_cast<char>(asked_as & 255);
    co_return answer;
  }
  co_return Error{Code::Unavailable, "no resolver of this machine answers"};
}

}  // namespace nodevirt::dns
