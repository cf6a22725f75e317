#include "virt-handler/migration/stream/pump_direction.hpp"

#include <cerrno>
#include <cstring>
#include <sys/socket.h>

#include <openssl/err.h>
#include <openssl/ssl.h>

#include "pkg/net/tls_context.hpp"

namespace nodevirt::virt_handler::migration {
namespace {

enum class Got { Bytes, Again, AgainOther, End, Failed };

struct Outcome {
  Got got;
  std::size_t size = 0;
  std::string error;
};

/// Blocked on the opposite of what was tried happens with TLS alone (key updates).
Outcome of_ssl(SSL* ssl, int result, std::size_t size, bool reading) {
  if (result == 1) return {Got::Bytes, size, {}};
  int err = errno;
  switch (SSL_get_error(ssl, result)) {
    case SSL_ERROR_WANT_READ: return {reading ? Got::Again : Got::AgainOther, 0, {}};
    case SSL_ERROR_WANT_WRITE: return {reading ? Got::AgainOther : Got::Again, 0, {}};
    case SSL_ERROR_ZERO_RETURN: return {Got::End, 0, {}};
    case SSL_ERROR_SYSCALL: return {Got::Failed, 0, std::strerror(err ? err : ECONNRESET)};
    default: return {Got::Failed, 0, net::openssl_errors()};
  }
}

Outcome read_from(const PumpEnd& end, char* into, std::size_t size) {
  if (end.ssl) {
    ERR_clear_error();
    errno = 0;
    std::size_t n = 0;
    int result = SSL_read_ex(end.ssl, into, size, &n);
    return of_ssl(end.ssl, result, n, true);
  }
  ssize_t n = recv(end.fd, into, size, 0);
  if (n > 0) return {Got::Bytes, static_cast<std::size_t>(n), {}};
  if (n == 0) return {Got::End, 0, {}};
  if (errno == EAGAIN || errno == EINTR) return {Got::Again, 0, {}};
  return {Got::Failed, 0, std::strerror(errno)};
}

Outcome write_to(const PumpEnd& end, const char* from, std::size_t size) {
  if (end.ssl) {
    ERR_clear_error();
    errno = 0;
    std::size_t n = 0;
    int result = SSL_write_ex(end.ssl, from, size, &n);
    return of_ssl(end.ssl, result, n, false);
  }
  ssize_t n = send(end.fd, from, size, MSG_NOSIGNAL);
  if (n >= 0) return {Got::Bytes, static_cast<std::size_t>(n), {}};
  if (errno == EAGAIN || errno == EINTR) return {Got::Again, 0, {}};
  return {Got::Failed, 0, std::strerror(errno)};
}

/// False: there is no room for it yet.
bool end_writing(const PumpEnd& end) {
  if (!end.ssl) {
    shutdown(end.fd, SHUT_WR);
    return true;
  }
  ERR_clear_error();
  int result = SSL_shutdown(end.ssl);  // close_notify
  bool later = result < 0 && SSL_get_error(end.ssl, result) == SSL_ERROR_WANT_WRITE;
  ERR_clear_error();
  return !later;
}

class Buffered final : public Direction {
 public:
  Buffered(PumpEnd source, PumpEnd sink, std::string ahead)
      : source_(source), sink_(sink), buffer_(std::make_unique_for_overwrite<char[]>(kPumpBuffer)) {
    size_ = std::min(ahead.size(), kPumpBuffer);
    std::memcpy(buffer_.get(), ahead.data(), size_);
  }

  Wait step(std::uint64_t& moved) override {
    if (done_) return Wait::Done;
    if (at_ == size_) {
      at_ = size_ = 0;
      Wait filled = fill();
      if (size_ == 0) return filled;
    }
    Outcome out = write_to(sink_, buffer_.get() + at_, size_ - at_);
    if (out.got == Got::Bytes) {
      at_ += out.size;
      moved += out.size;
      return Wait::None;
    }
    if (out.got == Got::Again) return Wait::WritableSink;
    if (out.got == Got::AgainOther) return Wait::ReadableSink;
    return fail("write: " + (out.error.empty() ? std::string("the other end is closed") : out.error));
  }

 private:
  /// A TLS record is 16 KiB: what has come already is taken together.
  Wait fill() {
    while (size_ < kPumpBuffer) {
      if (end_) break;
      Outcome in = read_from(source_, buffer_.get() + size_, kPumpBuffer - size_);
      if (in.got == Got::Bytes) {
        size_ += in.size;
        if (!source_.ssl) break;
        continue;
      }
      if (in.got == Got::End) {
        end_ = true;
        break;
      }
      if (in.got == Got::Failed) return size_ > 0 ? Wait::None : fail("read: " + in.error);
      return in.got == Got::Again ? Wait::ReadableSource : Wait::WritableSource;
    }
    if (size_ == 0 && end_) {
      if (!end_writing(sink_)) return Wait::WritableSink;
      done_ = true;
      return Wait::Done;
    }
    return Wait::None;
  }

  PumpEnd source_, sink_;
  std::unique_ptr<char[]> buffer_;
  std::size_t at_ = 0, size_ = 0;
  bool end_ = false, done_ = false;
};

}  // namespace

std::unique_ptr<Direction> buffered_direction(PumpEnd source, PumpEnd sink, std::string ahead) {
  return std::make_unique<Buffered>(source, sink, std::move(ahead));
}

}  // namespace nodevirt::virt_handler::migration
