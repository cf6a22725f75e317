// A connected socket, plain or with TLS on it: what every ByteStream here, the HTTP server and the
// HTTP client stand on. An idle one holds no buffers: it waits for the descriptor, then reads.
#pragma once
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>

#include <boost/asio/posix/stream_descriptor.hpp>
#include <openssl/types.h>

#include "pkg/base/async.hpp"
#include "pkg/net/byte_stream.hpp"
#include "pkg/net/tls.hpp"

namespace nodevirt::net {

/// Used on its executor's one thread. Callers of coroutines hold a shared_ptr until they return.
class FdStream final : public std::enable_shared_from_this<FdStream> {
 public:
  /// Owns `fd`, a connected socket.
  FdStream(Executor executor, int fd);
  ~FdStream();

  /// The TLS handshake as client or server, by the kind of context. `host` is for SNI and verification
  /// (client), unless the context has a name of its own.
  Awaitable<Result<void>> handshake(std::shared_ptr<TlsContext> context, std::string host);
  std::optional<CertificateIdentity> identity() const;

  enum class State { Data, Wait, End, Failed };
  struct Now {
    State state;
    std::size_t size = 0;
    Error error;
  };
  /// What can be had without waiting.
  Now read_now(std::span<char> into);
  /// The same, at most `max` bytes appended.
  Now read_now(std::string& into, std::size_t max);

  Awaitable<Result<std::size_t>> read_some(std::span<char> into);
  /// Waits for bytes and appends at most `max` of them; 0 at the end.
  Awaitable<Result<std::size_t>> read_append(std::string& into, std::size_t max);
  /// Both pieces, in order, together where that is cheap.
  Awaitable<Result<void>> write(std::string_view bytes, std::string_view more = {});
  Awaitable<Result<void>> shutdown_write();
  void close();
  bool closed() const { return closed_; }
  /// Puts bytes back: the next read returns them first.
  void unread(std::string_view bytes) { ahead_.insert(0, bytes); }
  /// Returns when the socket may be readable; Cancelled when it was closed here.
  Awaitable<Result<void>> wait_readable();
  /// Calls `f` once when the socket may be readable, or not at all when it is closed before.
  void on_readable(std::function<void()> f);

  int fd() { return descriptor_.native_handle(); }

  /// What is under it, for who goes on without an executor: this stream is closed after that, and nobody may be
  /// waiting in it. The taker frees `ssl` (SSL_free), then closes `fd`.
  struct Raw {
    int fd = -1;
    SSL* ssl = nullptr;
    std::shared_ptr<TlsContext> context;
    std::string ahead;      ///< was read already, comes before everything else
  };
  Raw release();

 private:
  enum class Wanted { Read, Write };
  Awaitable<Result<void>> wait(Wanted what);
  Now read_raw(std::span<char> into);

  boost::asio::posix::stream_descriptor descriptor_;
  SSL* ssl_ = nullptr;
  std::shared_ptr<TlsContext> context_;
  std::string ahead_;
  bool closed_ = false;
  bool ssl_broken_ = false;  ///< after a fatal TLS error no close_notify may be sent
};

/// The ByteStream that owns `stream`.
std::unique_ptr<ByteStream> make_byte_stream(std::shared_ptr<FdStream> stream);
/// The FdStream under a ByteStream, taken from it; for a foreign kind, one end of a socket pair that is
/// spliced onto it.
std::shared_ptr<FdStream> take_fd_stream(Executor executor, std::unique_ptr<ByteStream> stream);

}  // namespace nodevirt::net
