#include "virtctl/tunnel.hpp"

namespace nodevirt::virtctl {

namespace {

constexpr std::size_t kPiece = 16384;

Awaitable<void> send_all(std::shared_ptr<net::ByteStream> from, std::shared_ptr<net::WebSocket> to) {
  std::vector<char> buffer(kPiece);
  for (;;) {
    auto n = co_await from->read_some(buffer);
    if (!n.ok() || *n == 0) break;
    if (!(co_await to->write(std::string_view(buffer.data(), *n))).ok()) break;
  }
  from->close();
  to->abort();
}

}  // namespace

Awaitable<Result<std::shared_ptr<net::WebSocket>>> open_stream(Session& session, Kind kind, std::string ns, std::string name,
                                                               std::string subresource) {
  net::Request request;
  request.target = subresource_path(kind, ns, name, subresource);
  std::vector<std::string> protocols = {"plain.kubevirt.io"};
  auto opened = co_await session.client.transport()->websocket(std::move(request), std::move(protocols));
  if (!opened.ok()) co_return std::move(opened).error();
  co_return std::shared_ptr<net::WebSocket>(std::move(opened).value());
}

Awaitable<std::string> join(Executor executor, std::shared_ptr<net::ByteStream> local, std::shared_ptr<net::WebSocket> remote) {
  spawn(executor, send_all(local, remote), "tunnel out");
  std::string reason;
  for (;;) {
    auto message = co_await remote->read();
    if (!message.ok()) break;
    if (message->closed) {
      reason = message->close_reason;
      break;
    }
    if (!(co_await local->write(message->data)).ok()) break;
  }
  remote->abort();
  local->close();
  co_return reason;
}

}  // namespace nodevirt::virtctl
