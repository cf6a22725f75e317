#include "pkg/net/websocket.hpp"

#include <deque>

#include <boost/asio/as_tuple.hpp>

#include "pkg/base/id.hpp"
#include "pkg/net/websocket_frames.hpp"
#include "pkg/net/websocket_handshake.hpp"

namespace nodevirt::net {

namespace asio = boost::asio;

namespace {

/// The connection's state; coroutines hold it, so that the WebSocket may go while they are suspended.
struct Wire {
  std::shared_ptr<FdStream> stream;
  WebSocketRole role;
  FrameReader reader;
  std::string in;
  bool writing = false;
  std::deque<std::shared_ptr<asio::steady_timer>> queue;  ///< writers that wait for their turn
  bool close_sent = false;
  std::optional<WebSocket::Message> ended;                ///< what every later read returns

  Wire(std::shared_ptr<FdStream> s, WebSocketRole r, std::size_t max)
      : stream(std::move(s)), role(r), reader(r == WebSocketRole::Server, max) {}
};

Awaitable<Result<void>> send_frame(std::shared_ptr<Wire> wire, Opcode opcode, std::string_view data) {
  std::optional<std::array<unsigned char, 4>> mask;
  if (wire->role == WebSocketRole::Client) {
    mask.emplace();
    random_bytes(*mask);
  }
  auto frame = write_frame(opcode, data, mask);
  if (wire->writing) {
    auto executor = co_await asio::this_coro::executor;
    auto turn = std::make_shared<asio::steady_timer>(executor, asio::steady_timer::time_point::max());
    wire->queue.push_back(turn);
    auto [ec] = co_await turn->async_wait(asio::as_tuple(asio::use_awaitable));
    (void)ec;  // `writing` stays true while the turn is handed on
  }
  wire->writing = true;
  Result<void> sent;
  if (wire->close_sent) {
    sent = Error(Code::FailedPrecondition, "the WebSocket has been closed");
  } else {
    if (opcode == Opcode::Close) wire->close_sent = true;
    auto stream = wire->stream;
    sent = co_await stream->write(frame);
  }
  if (wire->queue.empty()) {
    wire->writing = false;
  } else {
    auto next = wire->queue.front();
    wire->queue.pop_front();
    next->cancel();
  }
  co_return sent;
}

/// Waits at most `limit` for the peer to end, so that our last frame is not lost in a reset.
Awaitable<void> drain(std::shared_ptr<Wire> wire, std::chrono::milliseconds limit) {
  auto executor = co_await asio::this_coro::executor;
  auto stream = wire->stream;
  asio::steady_timer timer(executor, limit);
  timer.async_wait([stream](boost::system::error_code ec) {
    if (!ec) stream->close();
  });
  std::string ignored;
  std::size_t left = 4u << 20;
  while (left > 0) {
    ignored.clear();
    auto n = co_await stream->read_append(ignored, 16 * 1024);
    if (!n.ok() || *n == 0) break;
    left -= std::min(left, *n);
  }
  timer.cancel();
  stream->close();
}

class FramedWebSocket final : public WebSocket {
 public:
  FramedWebSocket(std::shared_ptr<FdStream> stream, WebSocketRole role, std::string subprotocol, std::size_t max)
      : wire_(std::make_shared<Wire>(std::move(stream), role, max)), subprotocol_(std::move(subprotocol)) {}
  ~FramedWebSocket() override { wire_->stream->close(); }

  std::string_view subprotocol() const override { return subprotocol_; }
  Awaitable<Result<Message>> read() override { return read_on(wire_); }
  Awaitable<Result<void>> write(std::string_view data, bool binary) override {
    return send_frame(wire_, binary ? Opcode::Binary : Opcode::Text, data);
  }
  Awaitable<void> close(int code, std::string reason) override { return close_on(wire_, code, std::move(reason)); }
  void abort() override { wire_->stream->close(); }

 private:
  static Awaitable<Result<Message>> read_on(std::shared_ptr<Wire> wire);
  static Awaitable<void> close_on(std::shared_ptr<Wire> wire, int code, std::string reason);
  static Awaitable<Result<Message>> peer_closed(std::shared_ptr<Wire> wire, std::string payload);

  std::shared_ptr<Wire> wire_;
  std::string subprotocol_;
};

Awaitable<Result<WebSocket::Message>> FramedWebSocket::peer_closed(std::shared_ptr<Wire> wire, std::string payload) {
  Message out;
  out.closed = true;
  out.close_code = 1005;  // "no code was there"
  if (payload.size() >= 2) {
    out.close_code = static_cast<unsigned char>(payload[0]) << 8 | static_cast<unsigned char>(payload[1]);
    out.close_reason = payload.substr(2);
  }
  bool sound = payload.size() != 1 && valid_utf8(out.close_reason) && (payload.empty() || valid_close_code(out.close_code));
  if (!wire->close_sent) {
    auto echo = payload.empty() ? std::string() : close_payload(sound ? out.close_code : 1002, "");
    auto sent = co_await send_frame(wire, Opcode::Close, echo);
    (void)sent;
  }
  if (!sound) out.close_reason.clear();
  wire->ended = out;
  auto stream = wire->stream;
  auto ended = co_await stream->shutdown_write();
  (void)ended;
  co_return out;
}

Awaitable<Result<WebSocket::Message>> FramedWebSocket::read_on(std::shared_ptr<Wire> wire) {
  for (;;) {
    if (wire->ended) co_return *wire->ended;
    auto event = wire->reader.next(wire->in);
    if (wire->reader.fault()) {
      auto fault = *wire->reader.fault();
      auto payload = close_payload(fault.close_code, fault.text);
      auto sent = co_await send_frame(wire, Opcode::Close, payload);
      (void)sent;
      co_await drain(wire, std::chrono::seconds(1));
      co_return Error(Code::InvalidArgument, "WebSocket: " + fault.text);
    }
    if (!event) {
      if (wire->in.empty()) std::string().swap(wire->in);
      auto stream = wire->stream;
      auto n = co_await stream->read_append(wire->in, 64 * 1024);
      if (!n.ok()) co_return n.error();
      if (*n == 0) {
        Message gone;
        gone.closed = true;
        gone.close_code = 1006;  // it ended without a close frame
        wire->ended = gone;
        stream->close();
        co_return gone;
      }
      continue;
    }
    if (event->opcode == Opcode::Pong) continue;
    if (event->opcode == Opcode::Close) co_return co_await peer_closed(wire, std::move(event->data));
    if (event->opcode == Opcode::Ping) {
      auto sent = co_await send_frame(wire, Opcode::Pong, event->data);
      if (!sent.ok() && sent.error().code != Code::FailedPrecondition) co_return sent.error();
      continue;
    }
    Message out;
    out.binary = event->opcode == Opcode::Binary;
    out.data = std::move(event->data);
    co_return out;
  }
}

Awaitable<void> FramedWebSocket::close_on(std::shared_ptr<Wire> wire, int code, std::string reason) {
  if (!wire->close_sent) {
    auto payload = close_payload(code, reason);
    auto sent = co_await send_frame(wire, Opcode::Close, payload);
    (void)sent;
  }
  auto stream = wire->stream;
  if (stream->closed()) co_return;
  auto ended = co_await stream->shutdown_write();
  (void)ended;
  co_await drain(wire, std::chrono::seconds(1));
}

}  // namespace

std::unique_ptr<WebSocket> make_websocket(std::shared_ptr<FdStream> stream, WebSocketRole role, std::string subprotocol,
                                          std::size_t max_message) {
  return std::make_unique<FramedWebSocket>(std::move(stream), role, std::move(subprotocol), max_message);
}

}  // namespace nodevirt::net
