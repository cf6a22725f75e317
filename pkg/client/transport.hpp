// How requests reach an API server: over TLS (HttpTransport), or by a call into a server in the same
// process (LocalTransport of standalone/). What stands above does not know which.
#pragma once
#include <memory>

#include "pkg/net/http_client.hpp"

namespace nodevirt::client {

class Transport {
 public:
  virtual ~Transport() = default;
  virtual Awaitable<Result<net::Response>> send(net::Request request) = 0;
  virtual Awaitable<Result<std::unique_ptr<net::BodyReader>>> open(net::Request request) = 0;
  virtual Awaitable<Result<std::unique_ptr<net::WebSocket>>> websocket(net::Request request,
                                                                       std::vector<std::string> subprotocols) = 0;
};

}  // namespace nodevirt::client
