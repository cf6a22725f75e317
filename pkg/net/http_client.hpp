// The HTTP/1.1 client: a pool of kept-alive connections to one endpoint.
#pragma once
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "pkg/net/byte_stream.hpp"
#include "pkg/net/message.hpp"
#include "pkg/net/tls.hpp"
#include "pkg/net/websocket.hpp"

namespace nodevirt::net {

/// A streamed answer. Destroying it ends the connection.
class BodyReader {
 public:
  virtual ~BodyReader() = default;
  virtual const Response& head() const = 0;         ///< status and headers; body empty
  /// The next piece; empty at the end.
  virtual Awaitable<Result<std::string>> read() = 0;
  virtual void abort() = 0;                          ///< a pending read returns Cancelled
};

struct Upgraded {
  Response head;                        ///< 101, or the refusal (then stream is null and body is set)
  std::unique_ptr<ByteStream> stream;
};

class HttpClient {
 public:
  struct Options {
    std::string host;                             ///< name or address; also the Host header
    std::uint16_t port = 443;
    std::string unix_path;                        ///< connect here instead
    std::shared_ptr<TlsContext> tls;              ///< none: plain
    std::string server_name;                      ///< SNI and verification; host when empty
    std::chrono::milliseconds connect_timeout{10000};
    std::chrono::milliseconds request_timeout{60000};  ///< of send(): whole exchange
    std::size_t max_body = 256u << 20;
    std::size_t max_idle = 4;                     ///< kept-alive connections
    /// Instead of TCP or unix: how to get a connected stream (tests; dialling through another door).
    std::function<Awaitable<Result<std::unique_ptr<ByteStream>>>()> dial;
  };
  HttpClient(Executor executor, Options options);
  ~HttpClient();

  /// A whole exchange. Requests are sent once, except that one which fails on a kept-alive connection
  /// before any byte of an answer came is sent again on a new connection when its method is idempotent.
  Awaitable<Result<Response>> send(Request request);
  /// Returns when the head is there; no time limit on the body.
  Awaitable<Result<std::unique_ptr<BodyReader>>> open(Request request);
  /// An error when the server refuses; its message carries the server's Status message.
  Awaitable<Result<std::unique_ptr<WebSocket>>> websocket(Request request, std::vector<std::string> subprotocols);
  /// Sends a request that carries its own Upgrade headers.
  Awaitable<Result<Upgraded>> upgrade(Request request);

 private:
  struct Impl;
  std::shared_ptr<Impl> impl_;
};

}  // namespace nodevirt::net
