// The HTTP/1.1 server: TLS or plain, TCP or unix socket, upgrades to WebSocket or to raw bytes.
#pragma once
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "pkg/net/byte_stream.hpp"
#include "pkg/net/message.hpp"
#include "pkg/net/tls.hpp"
#include "pkg/net/websocket.hpp"

namespace nodevirt::net {

/// Who is at the other end.
struct Peer {
  std::string address;                              ///< "127.0.0.1:4711", or "unix"
  std::optional<CertificateIdentity> certificate;   ///< verified
  std::optional<std::uint32_t> uid;                 ///< of a unix socket's peer (SO_PEERCRED)
  std::optional<std::int32_t> pid;
};

struct ServerRequest : Request {
  Peer peer;
  StopToken closed;   ///< requested when the peer goes away or the server stops
};

/// The answer to one request; exactly one of send, begin, upgrade, hijack is called.
/// A handler that returns without any of them makes a 500.
class ResponseStream {
 public:
  virtual ~ResponseStream() = default;
  /// A whole answer.
  virtual Awaitable<Result<void>> send(Response response) = 0;
  /// The head of a streamed answer (chunked); then any number of writes, then finish.
  virtual Awaitable<Result<void>> begin(int status, Headers headers) = 0;
  /// Returns when the bytes are handed to the kernel: a slow reader slows the writer.
  virtual Awaitable<Result<void>> write(std::string_view bytes) = 0;
  virtual Awaitable<Result<void>> finish() = 0;
  /// Accepts a WebSocket with one of the client's offered subprotocols (the first of `supported` that
  /// was offered; InvalidArgument, answered 400, when none was and `supported` is not empty).
  virtual Awaitable<Result<std::unique_ptr<WebSocket>>> upgrade(std::vector<std::string> supported) = 0;
  /// Sends 101 with `headers` and gives the connection away.
  virtual Awaitable<Result<std::unique_ptr<ByteStream>>> hijack(Headers headers) = 0;
  virtual bool started() const = 0;
};

/// Runs on the connection's coroutine. `request` and `response` live until it returns.
using Handler = std::function<Awaitable<void>(ServerRequest& request, ResponseStream& response)>;

class HttpServer {
 public:
  struct Options {
    std::shared_ptr<TlsContext> tls;              ///< none: plain HTTP
    std::size_t max_body = 3u << 20;              ///< then 413
    std::size_t max_header = 64u << 10;           ///< then 431
    std::chrono::milliseconds header_timeout{30000};   ///< from accept or the last answer to a whole head
    std::chrono::milliseconds idle_timeout{180000};
  };
  HttpServer(Executor executor, Options options, Handler handler);
  ~HttpServer();

  /// Binds and listens; port 0 chooses one. AlreadyExists names who might hold the port.
  Result<std::uint16_t> listen_tcp(const std::string& address, std::uint16_t port);
  /// Replaces a stale socket file; refuses one that answers.
  Result<void> listen_unix(const std::string& path, unsigned mode = 0600);
  /// A listening socket made by somebody else (in another network namespace, say).
  Result<void> adopt_listener(int fd);
  /// Accepts until stopped; then ends idle connections at once, and others after `grace`.
  Awaitable<void> run(StopToken stop, std::chrono::milliseconds grace = std::chrono::seconds(2));

 private:
  struct Impl;
  std::shared_ptr<Impl> impl_;
};

}  // namespace nodevirt::net
