#include "virt-handler/migration/stream/connection.hpp"

#include <charconv>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <fmt/format.h>

#include "virt-handler/migration/stream/patience.hpp"

namespace nodevirt::virt_handler::migration {

struct Deadline::State {
  explicit State(const Executor& executor) : timer(executor) {}
  boost::asio::steady_timer timer;
};

Deadline::Deadline(const Executor& executor, std::shared_ptr<net::FdStream> stream, std::chrono::milliseconds after)
    : state_(std::make_shared<State>(executor)) {
  state_->timer.expires_after(after);
  state_->timer.async_wait([stream](const boost::system::error_code& error) {
    if (!error) stream->close();
  });
}

Deadline::~Deadline() { state_->timer.cancel(); }

void watch_peer(int fd) {
  int on = 1, idle = 3, interval = 3, count = 4;
  unsigned unanswered = static_cast<unsigned>(Patience().ordinary.count());
  setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
  setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof idle);
  setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &interval, sizeof interval);
  setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &count, sizeof count);
  setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &unanswered, sizeof unanswered);
}

Result<HostPort> parse_address(std::string_view text) {
  Error bad{Code::InvalidArgument, fmt::format("\"{}\" is no HOST:PORT", text.substr(0, 100))};
  std::size_t colon = text.rfind(':');
  if (colon == std::string_view::npos || colon == 0 || text.size() > 300) return bad;
  std::string_view host = text.substr(0, colon), digits = text.substr(colon + 1);
  if (host.front() == '[') {
    if (host.back() != ']' || host.size() < 3) return bad;
    host = host.substr(1, host.size() - 2);
  } else if (host.find(':') != std::string_view::npos) {
    return bad;
  }
  HostPort out{std::string(host), 0};
  auto [end, ec] = std::from_chars(digits.data(), digits.data() + digits.size(), out.port);
  if (ec != std::errc{} || end != digits.data() + digits.size() || out.port == 0) return bad;
  return out;
}

Awaitable<Result<std::string>> read_line(std::shared_ptr<net::FdStream> stream, std::size_t max) {
  std::string in;
  for (;;) {
    std::size_t before = in.size();
    auto got = co_await stream->read_append(in, max - before);
    if (!got.ok()) co_return got.error();
    if (*got == 0) co_return Error{Code::Unavailable, "the connection ended before its first line"};
    std::size_t newline = in.find('\n', before);
    if (newline != std::string::npos) {
      stream->unread(std::string_view(in).substr(newline + 1));
      in.resize(newline);
      co_return in;
    }
    if (in.size() >= max) co_return Error{Code::InvalidArgument, fmt::format("a line of more than {} bytes", max)};
  }
}

namespace {

Awaitable<Result<void>> greet(std::shared_ptr<net::FdStream> stream, StreamTarget target, StreamTls tls, StreamHeader header) {
  if (tls.client && !target.plain) {
    auto shaken = co_await stream->handshake(tls.client, std::string());
    if (!shaken.ok()) co_return shaken.error();
    NV_CO_TRY_VOID(check_peer(stream->identity(), target.node));
  }
  std::string line = format_header(header);
  auto written = co_await stream->write(line);
  if (!written.ok()) co_return written.error();
  auto answer = co_await read_line(stream, kMaxHeader);
  if (!answer.ok()) co_return answer.error();
  co_return parse_answer(*answer);
}

}  // namespace

Awaitable<Result<std::shared_ptr<net::FdStream>>> open_stream(StreamTarget target, StreamTls tls, StreamHeader header) {
  auto address = parse_address(target.address);
  if (!address.ok()) co_return address.error();
  std::string context = fmt::format("connect to virt-handler of node {} at {}", target.node, target.address);
  Executor executor = co_await boost::asio::this_coro::executor;
  auto connected = co_await net::connect_tcp(address->host, address->port, kOpenTimeout);
  if (!connected.ok()) co_return connected.error().with_context(context);
  std::shared_ptr<net::FdStream> stream = net::take_fd_stream(executor, std::move(*connected));
  watch_peer(stream->fd());
  Deadline deadline(executor, stream, kOpenTimeout);
  auto greeted = co_await greet(stream, target, tls, header);
  if (!greeted.ok()) {
    stream->close();
    co_return greeted.error().with_context(context);
  }
  co_return stream;
}

}  // namespace nodevirt::virt_handler::migration
