#include "pkg/net/fd_stream.hpp"

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include <boost/asio/as_tuple.hpp>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <arpa/inet.h>
#include <cstring>

#include "pkg/net/tls_context.hpp"

namespace nodevirt::net {

namespace asio = boost::asio;

namespace {

constexpr auto kReady = asio::as_tuple(asio::use_awaitable);

// A socket BIO that writes with MSG_NOSIGNAL: OpenSSL's own raises SIGPIPE.
int bio_fd(BIO* b) { return static_cast<int>(reinterpret_cast<std::intptr_t>(BIO_get_data(b))); }

int bio_write(BIO* b, const char* data, int size) {
  BIO_clear_retry_flags(b);
  auto n = ::send(bio_fd(b), data, static_cast<std::size_t>(size), MSG_NOSIGNAL);
  if (n < 0 && (errno == EAGAIN || errno == EINTR)) BIO_set_retry_write(b);
  return static_cast<int>(n);
}

int bio_read(BIO* b, char* data, int size) {
  BIO_clear_retry_flags(b);
  auto n = ::recv(bio_fd(b), data, static_cast<std::size_t>(size), 0);
  if (n < 0 && (errno == EAGAIN || errno == EINTR)) BIO_set_retry_read(b);
  if (n == 0) BIO_set_flags(b, BIO_FLAGS_IN_EOF);
  return static_cast<int>(n);
}

long bio_ctrl(BIO* b, int command, long, void*) {
  switch (command) {
    case BIO_CTRL_FLUSH:
    case BIO_CTRL_DUP: return 1;
    case BIO_CTRL_EOF: return BIO_test_flags(b, BIO_FLAGS_IN_EOF) != 0;
    default: return 0;
  }
}

BIO* new_bio(int fd) {
  static BIO_METHOD* method = [] {
    auto* m = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "nodevirt socket");
    BIO_meth_set_write(m, bio_write);
    BIO_meth_set_read(m, bio_read);
    BIO_meth_set_ctrl(m, bio_ctrl);
    return m;
  }();
  auto* bio = BIO_new(method);
  BIO_set_data(bio, reinterpret_cast<void*>(static_cast<std::intptr_t>(fd)));
  BIO_set_init(bio, 1);
  return bio;
}

Error cancelled() { return Error(Code::Cancelled, "the connection was closed on this side"); }

Error failed(std::string_view doing, int err) {
  return Error(Code::Unavailable, fmt::format("{}: {}", doing, std::strerror(err)));
}

std::span<char> scratch() {
  // On the heap: as a thread-local array every thread of every program would pay for it, also those that read nothing.
  constexpr std::size_t kSize = 64 * 1024;
  static thread_local std::unique_ptr<char[]> buffer(new char[kSize]);
  return {buffer.get(), kSize};
}

}  // namespace

FdStream::FdStream(Executor executor, int fd) : descriptor_(executor, fd) {
  int flags = ::fcntl(fd, F_GETFL);
  if (!(flags & O_NONBLOCK)) ::fcntl(fd, F_SETFL, flags | O_NONBLOCK);
  int domain = 0;
  socklen_t size = sizeof domain;
  if (::getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &size) == 0 && (domain == AF_INET || domain == AF_INET6)) {
    int one = 1;
    ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    ::setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof one);
  }
}

FdStream::~FdStream() {
  close();
  SSL_free(ssl_);
}

void FdStream::close() {
  if (closed_) return;
  if (ssl_ && !ssl_broken_ && SSL_is_init_finished(ssl_)) {
    ERR_clear_error();
    SSL_shutdown(ssl_);  // tells the peer, if there is room; its answer is not waited for
    ERR_clear_error();
  }
  closed_ = true;
  boost::system::error_code ignored;
  descriptor_.close(ignored);
}

FdStream::Raw FdStream::release() {
  Raw out;
  if (closed_) return out;
  closed_ = true;
  out.ssl = std::exchange(ssl_, nullptr);
  out.context = std::move(context_);
  out.ahead = std::move(ahead_);
  out.fd = descriptor_.release();
  return out;
}

Awaitable<Result<void>> FdStream::wait(Wanted what) {
  if (closed_) co_return cancelled();
  auto kind = what == Wanted::Read ? asio::posix::stream_descriptor::wait_read
                                   : asio::posix::stream_descriptor::wait_write;
  auto [ec] = co_await descriptor_.async_wait(kind, kReady);
  if (closed_ || ec == asio::error::operation_aborted) co_return cancelled();
  if (ec) co_return Error(Code::Unavailable, "wait for the connection: " + ec.message());
  co_return Result<void>{};
}

Awaitable<Result<void>> FdStream::wait_readable() { co_return co_await wait(Wanted::Read); }

void FdStream::on_readable(std::function<void()> f) {
  if (closed_) return;
  descriptor_.async_wait(asio::posix::stream_descriptor::wait_read,
                         [f = std::move(f)](boost::system::error_code ec) {
                           if (!ec) f();
                         });
}

FdStream::Now FdStream::read_raw(std::span<char> into) {
  if (closed_) return {State::Failed, 0, cancelled()};
  if (!ssl_) {
    for (;;) {
      auto n = ::recv(fd(), into.data(), into.size(), 0);
      if (n > 0) return {State::Data, static_cast<std::size_t>(n), {}};
      if (n == 0) return {State::End, 0, {}};
      if (errno == EINTR) continue;
      if (errno == EAGAIN) return {State::Wait, 0, {}};
      return {State::Failed, 0, failed("read from the connection", errno)};
    }
  }
  ERR_clear_error();
  errno = 0;
  std::size_t n = 0;
  if (SSL_read_ex(ssl_, into.data(), into.size(), &n) == 1) return {State::Data, n, {}};
  int err = errno;
  switch (SSL_get_error(ssl_, 0)) {
    case SSL_ERROR_WANT_READ:
    case SSL_ERROR_WANT_WRITE: return {State::Wait, 0, {}};
    case SSL_ERROR_ZERO_RETURN: return {State::End, 0, {}};
    case SSL_ERROR_SYSCALL:
      ssl_broken_ = true;
      return {State::Failed, 0, failed("read from the connection", err ? err : ECONNRESET)};
    default: {
      ssl_broken_ = true;
      auto why = openssl_errors();
      return {State::Failed, 0, Error(Code::Unavailable, "read from the TLS connection: " + why)};
    }
  }
}

FdStream::Now FdStream::read_now(std::span<char> into) {
  if (!ahead_.empty()) {
    auto n = std::min(into.size(), ahead_.size());
    std::memcpy(into.data(), ahead_.data(), n);
    if (n == ahead_.size()) std::string().swap(ahead_);
    else ahead_.erase(0, n);
    return {State::Data, n, {}};
  }
  return read_raw(into);
}

FdStream::Now FdStream::read_now(std::string& into, std::size_t max) {
  auto buffer = scratch();
  auto now = read_now(buffer.first(std::min(max, buffer.size())));
  if (now.state == State::Data) into.append(buffer.data(), now.size);
  return now;
}

Awaitable<Result<std::size_t>> FdStream::read_some(std::span<char> into) {
  for (;;) {
    auto now = read_now(into);
    if (now.state == State::Data) co_return now.size;
    if (now.state == State::End) co_return std::size_t{0};
    if (now.state == State::Failed) co_return now.error;
    NV_CO_TRY_VOID(co_await wait(Wanted::Read));
  }
}

Awaitable<Result<std::size_t>> FdStream::read_append(std::string& into, std::size_t max) {
  for (;;) {
    auto now = read_now(into, max);
    if (now.state == State::Data) co_return now.size;
    if (now.state == State::End) co_return std::size_t{0};
    if (now.state == State::Failed) co_return now.error;
    NV_CO_TRY_VOID(co_await wait(Wanted::Read));
  }
}

Awaitable<Result<void>> FdStream::write(std::string_view bytes, std::string_view more) {
  if (ssl_ && !more.empty() && bytes.size() + more.size() <= 16 * 1024) {
    std::string joined;
    joined.reserve(bytes.size() + more.size());
    joined.append(bytes).append(more);
    co_return co_await write(joined);
  }
  while (!bytes.empty() || !more.empty()) {
    if (bytes.empty()) std::swap(bytes, more);
    if (closed_) co_return cancelled();
    std::size_t n = 0;
    if (ssl_) {
      ERR_clear_error();
      errno = 0;
      if (SSL_write_ex(ssl_, bytes.data(), bytes.size(), &n) != 1) {
        int err = errno;
        n = 0;
        switch (SSL_get_error(ssl_, 0)) {
          case SSL_ERROR_WANT_READ: NV_CO_TRY_VOID(co_await wait(Wanted::Read)); break;
          case SSL_ERROR_WANT_WRITE: NV_CO_TRY_VOID(co_await wait(Wanted::Write)); break;
          case SSL_ERROR_SYSCALL:
            ssl_broken_ = true;
            co_return failed("write to the connection", err ? err : EPIPE);
          default: {
            ssl_broken_ = true;
            co_return Error(Code::Unavailable, "write to the TLS connection: " + openssl_errors());
          }
        }
      }
    } else {
      iovec parts[2] = {{const_cast<char*>(bytes.data()), bytes.size()}, {const_cast<char*>(more.data()), more.size()}};
      msghdr message{};
      message.msg_iov = parts;
      message.msg_iovlen = more.empty() ? 1 : 2;
      auto sent = ::sendmsg(fd(), &message, MSG_NOSIGNAL);
      if (sent >= 0) n = static_cast<std::size_t>(sent);
      else if (errno == EAGAIN) NV_CO_TRY_VOID(co_await wait(Wanted::Write));
      else if (errno != EINTR) co_return failed("write to the connection", errno);
    }
    auto first = std::min(n, bytes.size());
    bytes.remove_prefix(first);
    more.remove_prefix(n - first);
  }
  co_return Result<void>{};
}

Awaitable<Result<void>> FdStream::shutdown_write() {
  if (closed_) co_return cancelled();
  if (ssl_) {
    if (!ssl_broken_) {
      ERR_clear_error();
      SSL_shutdown(ssl_);
      ERR_clear_error();
    }
  } else if (::shutdown(fd(), SHUT_WR) != 0 && errno != ENOTCONN) {
    co_return failed("end the connection", errno);
  }
  co_return Result<void>{};
}

Awaitable<Result<void>> FdStream::handshake(std::shared_ptr<TlsContext> context, std::string host) {
  context_ = std::move(context);
  ssl_ = SSL_new(context_->get());
  if (!ssl_) co_return Error(Code::ResourceExhausted, "no memory for a TLS connection");
  auto* bio = new_bio(fd());
  SSL_set_bio(ssl_, bio, bio);
  const std::string& name = context_->server_name.empty() ? host : context_->server_name;
  if (context_->server()) {
    SSL_set_accept_state(ssl_);
  } else {
    SSL_set_connect_state(ssl_);
    unsigned char address[16];
    bool literal = ::inet_pton(AF_INET, name.c_str(), address) == 1 || ::inet_pton(AF_INET6, name.c_str(), address) == 1;
    if (!literal && !name.empty()) SSL_set_tlsext_host_name(ssl_, name.c_str());
    if (context_->verify) {
      auto* param = SSL_get0_param(ssl_);
      // An explicit name may be a program's, which stands in the subject.
      if (!context_->server_name.empty()) X509_VERIFY_PARAM_set_hostflags(param, X509_CHECK_FLAG_ALWAYS_CHECK_SUBJECT);
      int ok = literal ? X509_VERIFY_PARAM_set1_ip_asc(param, name.c_str())
                       : X509_VERIFY_PARAM_set1_host(param, name.c_str(), name.size());
      if (ok != 1) co_return Error(Code::InvalidArgument, "not a name to verify a certificate with: " + name);
    }
  }
  for (;;) {
    ERR_clear_error();
    errno = 0;
    int r = SSL_do_handshake(ssl_);
    if (r == 1) co_return Result<void>{};
    int err = errno;
    switch (SSL_get_error(ssl_, r)) {
      case SSL_ERROR_WANT_READ: NV_CO_TRY_VOID(co_await wait(Wanted::Read)); break;
      case SSL_ERROR_WANT_WRITE: NV_CO_TRY_VOID(co_await wait(Wanted::Write)); break;
      case SSL_ERROR_SYSCALL:
        ssl_broken_ = true;
        co_return failed("TLS handshake", err ? err : ECONNRESET);
      default: {
        ssl_broken_ = true;
        auto verdict = SSL_get_verify_result(ssl_);
        auto why = openssl_errors();
        if (verdict != X509_V_OK)
          co_return Error(Code::Unauthenticated, "TLS",
                          fmt::format("TLS handshake: the certificate of {} is not trusted: {}",
                                      context_->server() ? "the client" : name, X509_verify_cert_error_string(verdict)));
        co_return Error(Code::Unavailable, "TLS", "TLS handshake: " + why);
      }
    }
  }
}

std::optional<CertificateIdentity> FdStream::identity() const {
  return ssl_ ? peer_identity(ssl_) : std::nullopt;
}

}  // namespace nodevirt::net
