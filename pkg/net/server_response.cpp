#include "pkg/net/server_connection.hpp"
#include "pkg/net/websocket_handshake.hpp"

namespace nodevirt::net {

namespace {

bool bodyless(int status) { return status < 200 || status == 204 || status == 304; }

Error misuse() { return Error(Code::FailedPrecondition, "the request has been answered already"); }

}  // namespace

ServerResponse::ServerResponse(std::shared_ptr<ServerConnection> connection, const ServerRequest& request, int version,
                               bool keep_alive)
    : connection_(std::move(connection)), request_(request), version_(version), keep_alive_(keep_alive) {}

Awaitable<Result<void>> ServerResponse::put(std::string_view bytes, std::string_view more) {
  auto stream = connection_->stream_;
  auto sent = co_await stream->write(bytes, more);
  if (!sent.ok()) {
    state_ = State::Broken;
    keep_alive_ = false;
    connection_->closed_.request_stop();
  }
  co_return sent;
}

void ServerResponse::finish_headers(Headers& headers) {
  if (connection_->server_->stopping) keep_alive_ = false;
  if (!keep_alive_) headers.set("Connection", "close");
  else if (version_ == 10) headers.set("Connection", "keep-alive");
}

Awaitable<Result<void>> ServerResponse::send(Response response) {
  if (started()) co_return misuse();
  state_ = State::Done;
  response.headers.remove("Transfer-Encoding");  // of an answer that is passed on
  if (!bodyless(response.status)) response.headers.set("Content-Length", std::to_string(response.body.size()));
  finish_headers(response.headers);
  auto head = write_head(response);
  std::string_view body = response.body;
  if (request_.method == "HEAD" || bodyless(response.status)) body = {};
  co_return co_await put(head, body);
}

Awaitable<Result<void>> ServerResponse::begin(int status, Headers headers) {
  if (started()) co_return misuse();
  state_ = State::Streaming;
  Response response;
  response.status = status;
  response.headers = std::move(headers);
  if (!response.headers.has("Content-Length")) {
    chunked_ = version_ == 11;
    if (chunked_) response.headers.set("Transfer-Encoding", "chunked");
    else keep_alive_ = false;
  }
  finish_headers(response.headers);
  auto head = write_head(response);
  co_return co_await put(head);
}

Awaitable<Result<void>> ServerResponse::write(std::string_view bytes) {
  if (state_ == State::Broken) co_return Error(Code::Unavailable, "the peer has gone");
  if (state_ != State::Streaming) co_return misuse();
  if (bytes.empty() || request_.method == "HEAD") co_return Result<void>{};
  if (!chunked_) co_return co_await put(bytes);
  auto frame = fmt::format("{:x}\r\n", bytes.size());
  if (bytes.size() <= 16 * 1024) {
    frame.append(bytes).append("\r\n");
    co_return co_await put(frame);
  }
  NV_CO_TRY_VOID(co_await put(frame, bytes));
  co_return co_await put("\r\n");
}

Awaitable<Result<void>> ServerResponse::finish() {
  if (state_ == State::Broken) co_return Error(Code::Unavailable, "the peer has gone");
  if (state_ != State::Streaming) co_return misuse();
  state_ = State::Done;
  if (chunked_ && request_.method != "HEAD") co_return co_await put("0\r\n\r\n");
  co_return Result<void>{};
}

std::shared_ptr<FdStream> ServerResponse::give_away() {
  state_ = State::GivenAway;
  auto& c = *connection_;
  ++c.watch_;
  c.phase_ = ServerConnection::Phase::GivenAway;
  c.timer_.cancel();
  // What the peer sent right after its request belongs to the new protocol.
  if (!c.in_.empty()) c.stream_->unread(c.in_);
  std::string().swap(c.in_);
  return c.stream_;
}

Awaitable<Result<std::unique_ptr<WebSocket>>> ServerResponse::upgrade(std::vector<std::string> supported) {
  if (started()) co_return misuse();
  const auto& headers = request_.headers;
  std::string wrong;
  auto key = headers.get("Sec-WebSocket-Key");
  if (request_.method != "GET" || !has_token(headers, "Upgrade", "websocket") ||
      !has_token(headers, "Connection", "upgrade"))
    wrong = "this address speaks WebSocket: ask with GET and Upgrade: websocket";
  else if (headers.get("Sec-WebSocket-Version") != "13" || key.size() != 24)
    wrong = "only version 13 of WebSocket is spoken here";
  std::string chosen;
  if (wrong.empty() && !supported.empty()) {
    auto offered = header_tokens(headers, "Sec-WebSocket-Protocol");
    for (const auto& s : supported) {
      if (std::find(offered.begin(), offered.end(), s) == offered.end()) continue;
      chosen = s;
      break;
    }
    if (chosen.empty()) wrong = fmt::format("none of the offered subprotocols is spoken here; supported: {}", fmt::join(supported, ", "));
  }
  if (!wrong.empty()) {
    Response refusal;
    refusal.status = 400;
    refusal.headers.set("Content-Type", "text/plain; charset=utf-8");
    refusal.headers.set("Sec-WebSocket-Version", "13");
    refusal.body = wrong + "\n";
    auto sent = co_await send(std::move(refusal));
    (void)sent;
    co_return Error(Code::InvalidArgument, wrong);
  }
  Response accept;
  accept.status = 101;
  accept.headers.set("Upgrade", "websocket");
  accept.headers.set("Connection", "Upgrade");
  accept.headers.set("Sec-WebSocket-Accept", websocket_accept(key));
  if (!chosen.empty()) accept.headers.set("Sec-WebSocket-Protocol", chosen);
  auto head = write_head(accept);
  auto stream = give_away();
  NV_CO_TRY_VOID(co_await stream->write(head));
  co_return make_websocket(stream, WebSocketRole::Server, chosen);
}

Awaitable<Result<std::unique_ptr<ByteStream>>> ServerResponse::hijack(Headers headers) {
  if (started()) co_return misuse();
  Response accept;
  accept.status = 101;
  accept.headers = std::move(headers);
  auto head = write_head(accept);
  auto stream = give_away();
  NV_CO_TRY_VOID(co_await stream->write(head));
  co_return make_byte_stream(stream);
}

}  // namespace nodevirt::net
