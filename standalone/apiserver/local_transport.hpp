// client::Transport by a call into the server in the same process: the same code runs as for a request
// from the network, without sockets, TLS and HTTP framing.
#pragma once
#include <memory>

#include "pkg/client/transport.hpp"
#include "standalone/apiserver/request_info.hpp"

namespace nodevirt::apiserver {

struct ServerState;

class LocalTransport final : public client::Transport {
 public:
  LocalTransport(std::shared_ptr<ServerState> state, UserInfo user) : state_(std::move(state)), user_(std::move(user)) {}
  Awaitable<Result<net::Response>> send(net::Request request) override;
  /// Returns when the head is there. Dropping or aborting the reader ends the request.
  Awaitable<Result<std::unique_ptr<net::BodyReader>>> open(net::Request request) override;
  /// Unimplemented: nothing of ours streams to a client in this process.
  Awaitable<Result<std::unique_ptr<net::WebSocket>>> websocket(net::Request request, std::vector<std::string> subprotocols) override;

 private:
  std::shared_ptr<ServerState> state_;
  UserInfo user_;
};

}  // namespace nodevirt::apiserver
