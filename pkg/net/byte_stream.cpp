#include "pkg/net/byte_stream.hpp"

#include <fcntl.h>
#include <netdb.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <boost/asio/as_tuple.hpp>
#include <cstring>

#include "pkg/base/file.hpp"
#include "pkg/net/fd_stream.hpp"

namespace nodevirt::net {

namespace asio = boost::asio;

namespace {

class SocketStream final : public ByteStream {
 public:
  explicit SocketStream(std::shared_ptr<FdStream> stream) : stream_(std::move(stream)) {}
  ~SocketStream() override {
    if (stream_) stream_->close();
  }
  Awaitable<Result<std::size_t>> read_some(std::span<char> into) override {
    auto keep = stream_;
    co_return co_await keep->read_some(into);
  }
  Awaitable<Result<void>> write(std::string_view bytes) override {
    auto keep = stream_;
    co_return co_await keep->write(bytes);
  }
  Awaitable<Result<void>> shutdown_write() override {
    auto keep = stream_;
    co_return co_await keep->shutdown_write();
  }
  void close() override { stream_->close(); }
  std::shared_ptr<FdStream> take() { return std::move(stream_); }

 private:
  std::shared_ptr<FdStream> stream_;
};

std::pair<Fd, Fd> socket_pair() {
  int ends[2];
  int r = ::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends);
  if (r != 0) return {};
  return {Fd(ends[0]), Fd(ends[1])};
}

/// Waits until a connect in progress has ended.
Awaitable<Result<std::unique_ptr<ByteStream>>> finish_connect(Fd fd, std::chrono::milliseconds timeout,
                                                             std::string what) {
  auto executor = co_await asio::this_coro::executor;
  auto descriptor = std::make_shared<asio::posix::stream_descriptor>(executor, fd.release());
  asio::steady_timer timer(executor, timeout);
  auto expired = std::make_shared<bool>(false);
  timer.async_wait([descriptor, expired](boost::system::error_code ec) {
    if (ec || !descriptor->is_open()) return;
    *expired = true;
    boost::system::error_code ignored;
    descriptor->cancel(ignored);
  });
  auto [ec] = co_await descriptor->async_wait(asio::posix::stream_descriptor::wait_write,
                                             asio::as_tuple(asio::use_awaitable));
  timer.cancel();
  if (*expired) co_return Error(Code::DeadlineExceeded, what + ": no answer in time");
  if (ec) co_return Error(Code::Unavailable, what + ": " + ec.message());
  int error = 0;
  socklen_t size = sizeof error;
  ::getsockopt(descriptor->native_handle(), SOL_SOCKET, SO_ERROR, &error, &size);
  if (error) co_return Error(Code::Unavailable, fmt::format("{}: {}", what, std::strerror(error)));
  co_return adopt_socket(executor, descriptor->release());
}

struct Address {
  sockaddr_storage storage{};
  socklen_t size = 0;
};

Result<std::vector<Address>> resolve(const std::string& host, std::uint16_t port, int flags) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = flags | AI_NUMERICSERV;
  addrinfo* list = nullptr;
  int r = ::getaddrinfo(host.c_str(), std::to_string(port).c_str(), &hints, &list);
  if (r != 0) return Error(Code::Unavailable, fmt::format("look up {}: {}", host, ::gai_strerror(r)));
  std::vector<Address> out;
  for (auto* a = list; a; a = a->ai_next) {
    Address address;
    std::memcpy(&address.storage, a->ai_addr, a->ai_addrlen);
    address.size = a->ai_addrlen;
    out.push_back(address);
  }
  ::freeaddrinfo(list);
  return out;
}

Awaitable<void> pump(std::shared_ptr<ByteStream> from, std::shared_ptr<ByteStream> to, std::shared_ptr<int> left) {
  auto buffer = std::make_unique<std::array<char, 16 * 1024>>();
  bool failed = false;
  for (;;) {
    auto n = co_await from->read_some(*buffer);
    if (!n.ok()) { failed = true; break; }
    if (*n == 0) {
      auto r = co_await to->shutdown_write();
      failed = !r.ok();
      break;
    }
    auto w = co_await to->write(std::string_view(buffer->data(), *n));
    if (!w.ok()) { failed = true; break; }
  }
  if (--*left == 0 || failed) {
    from->close();
    to->close();
  }
}

}  // namespace

std::unique_ptr<ByteStream> make_byte_stream(std::shared_ptr<FdStream> stream) {
  return std::make_unique<SocketStream>(std::move(stream));
}

std::unique_ptr<ByteStream> adopt_socket(Executor executor, int fd) {
  return make_byte_stream(std::make_shared<FdStream>(std::move(executor), fd));
}

std::pair<std::unique_ptr<ByteStream>, std::unique_ptr<ByteStream>> memory_pair(Executor executor) {
  auto [a, b] = socket_pair();
  NV_CHECK(a && b);
  return {adopt_socket(executor, a.release()), adopt_socket(executor, b.release())};
}

std::shared_ptr<FdStream> take_fd_stream(Executor executor, std::unique_ptr<ByteStream> stream) {
  if (auto* ours = dynamic_cast<SocketStream*>(stream.get())) return ours->take();
  auto [near, far] = socket_pair();
  NV_CHECK(near && far);
  std::shared_ptr<ByteStream> inner = adopt_socket(executor, far.release());
  std::shared_ptr<ByteStream> foreign = std::move(stream);
  spawn(executor, splice(inner, foreign), "net: splice a foreign stream");
  return std::make_shared<FdStream>(executor, near.release());
}

Awaitable<Result<std::unique_ptr<ByteStream>>> connect_unix(std::string path) {
  auto executor = co_await asio::this_coro::executor;
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  Fd folder;
  std::string shown = path;
  if (path.size() >= sizeof address.sun_path) {
    auto slash = path.rfind('/');
    if (slash == std::string::npos) co_return Error(Code::InvalidArgument, "socket path is too long: " + path);
    folder.reset(::open(path.substr(0, slash).c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
    if (!folder) co_return errno_error(errno, "open the folder of " + shown);
    path = fmt::format("/proc/self/fd/{}/{}", folder.get(), path.substr(slash + 1));
    if (path.size() >= sizeof address.sun_path) co_return Error(Code::InvalidArgument, "socket name is too long: " + shown);
  }
  std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
  Fd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd) co_return errno_error(errno, "make a socket");
  if (::connect(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) {
    // EAGAIN: the listener's queue is full. All others say that nobody serves there.
    if (errno == ENOENT) co_return Error(Code::NotFound, "connect to " + shown + ": there is no such socket");
    co_return Error(Code::Unavailable, fmt::format("connect to {}: {}", shown, std::strerror(errno)));
  }
  co_return adopt_socket(executor, fd.release());
}

Awaitable<Result<std::unique_ptr<ByteStream>>> connect_tcp(std::string host, std::uint16_t port,
                                                         std::chrono::milliseconds timeout) {
  auto addresses = resolve(host, port, AI_NUMERICHOST);
  if (!addresses.ok()) {
    auto look_up = [host, port] { return resolve(host, port, AI_ADDRCONFIG); };
    addresses = co_await blocking(look_up);
    if (!addresses.ok()) co_return addresses.error();
  }
  auto what = fmt::format("connect to {}:{}", host, port);
  Error last(Code::Unavailable, what + ": the name has no address");
  for (const auto& a : *addresses) {
    Fd fd(::socket(a.storage.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (!fd) {
      last = errno_error(errno, what);
      continue;
    }
    int r = ::connect(fd.get(), reinterpret_cast<const sockaddr*>(&a.storage), a.size);
    if (r != 0 && errno != EINPROGRESS) {
      last = Error(Code::Unavailable, fmt::format("{}: {}", what, std::strerror(errno)));
      continue;
    }
    auto stream = co_await finish_connect(std::move(fd), timeout, what);
    if (stream.ok()) co_return stream;
    last = stream.error();
  }
  co_return last;
}

Awaitable<void> splice(std::shared_ptr<ByteStream> a, std::shared_ptr<ByteStream> b) {
  auto executor = co_await asio::this_coro::executor;
  auto left = std::make_shared<int>(2);
  auto done = std::make_shared<asio::steady_timer>(executor, asio::steady_timer::time_point::max());
  auto other = [](std::shared_ptr<ByteStream> from, std::shared_ptr<ByteStream> to, std::shared_ptr<int> count,
                  std::shared_ptr<asio::steady_timer> wake) -> Awaitable<void> {
    co_await pump(from, to, count);
    wake->expires_at(asio::steady_timer::time_point::min());
  };
  spawn(executor, other(b, a, left, done), "net: splice");
  co_await pump(a, b, left);
  if (done->expiry() != asio::steady_timer::time_point::min()) {
    auto [ec] = co_await done->async_wait(asio::as_tuple(asio::use_awaitable));
    (void)ec;
  }
}

}  // namespace nodevirt::net
