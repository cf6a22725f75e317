#include "pkg/net/server_connection.hpp"

#include <boost/asio/post.hpp>

#include "pkg/base/log.hpp"

namespace nodevirt::net {

namespace {

constexpr std::size_t kReadAhead = 64 * 1024;

int status_of(const Error& error) {
  if (error.reason == "HeaderTooLarge") return 431;
  if (error.reason == "BodyTooLarge") return 413;
  return 400;
}

bool has_expect(const Request& request) { return request.headers.get("Expect").size() == 12; }  // 100-continue

}  // namespace

ServerConnection::ServerConnection(std::shared_ptr<ServerShared> server, std::shared_ptr<FdStream> stream, Peer peer)
    : server_(std::move(server)), stream_(std::move(stream)), peer_(std::move(peer)), timer_(server_->executor) {
  server_->connections.insert(this);
}

ServerConnection::~ServerConnection() {
  server_->connections.erase(this);
  if (server_->connections.empty() && server_->on_empty) server_->on_empty();
}

void ServerConnection::stop() {
  closed_.request_stop();
  if (phase_ == Phase::Handshake || (phase_ == Phase::Head && in_.empty())) stream_->close();
}

void ServerConnection::kill() {
  closed_.request_stop();
  stream_->close();
}

// One timer per connection, moved only when the deadline comes nearer: requests cost no timer work.
void ServerConnection::set_deadline(std::chrono::milliseconds after) {
  deadline_ = std::chrono::steady_clock::now() + after;
  if (timer_.expiry() == std::chrono::steady_clock::time_point{} || timer_.expiry() > deadline_) arm_timer();
}

void ServerConnection::arm_timer() {
  timer_.expires_at(deadline_);
  timer_.async_wait([weak = weak_from_this()](boost::system::error_code ec) {
    auto self = weak.lock();
    if (ec || !self || self->stream_->closed()) return;
    if (std::chrono::steady_clock::now() >= self->deadline_) {
      self->timed_out_ = true;
      self->stream_->close();
    } else if (self->deadline_ != std::chrono::steady_clock::time_point::max()) {
      self->arm_timer();
    } else {
      self->timer_.expires_at(std::chrono::steady_clock::time_point{});
    }
  });
}

void ServerConnection::watch_peer() {
  stream_->on_readable([weak = weak_from_this(), mine = watch_] {
    if (auto self = weak.lock(); self && self->watch_ == mine) self->peer_readable();
  });
}

void ServerConnection::peer_readable() {
  while (in_.size() < kReadAhead) {
    auto now = stream_->read_now(in_, kReadAhead - in_.size());
    if (now.state == FdStream::State::Data) continue;
    if (now.state == FdStream::State::Wait) watch_peer();
    else closed_.request_stop();
    return;
  }
  // Somebody who sends this much ahead is alive; writes will tell when he no longer is.
}

Awaitable<void> ServerConnection::linger() {
  auto ended = co_await stream_->shutdown_write();
  if (!ended.ok()) co_return;
  set_deadline(std::chrono::seconds(2));
  std::size_t left = 4u << 20;
  while (left > 0) {
    in_.clear();
    auto n = co_await stream_->read_append(in_, kReadAhead);
    if (!n.ok() || *n == 0) break;
    left -= std::min(left, *n);
  }
}

Awaitable<void> ServerConnection::refuse(int status, std::string text) {
  Response response;
  response.status = status;
  response.headers.set("Content-Type", "text/plain; charset=utf-8");
  response.headers.set("Connection", "close");
  response.headers.set("Content-Length", std::to_string(text.size() + 1));
  auto head = write_head(response);
  text += "\n";
  set_deadline(std::chrono::seconds(5));
  auto sent = co_await stream_->write(head, text);
  // Closing with unread bytes would reset the connection before the peer has read why.
  if (sent.ok()) co_await linger();
}

Awaitable<bool> ServerConnection::read_request(ServerRequest& request, bool first, bool& keep_alive) {
  const auto& options = server_->options;
  Http1Parser parser(Http1Parser::Kind::Request, {options.max_header, options.max_body});
  bool continued = false;
  bool in_head = first || !in_.empty();
  phase_ = Phase::Head;
  set_deadline(in_head ? options.header_timeout : options.idle_timeout);
  if (server_->stopping && in_.empty()) co_return false;
  for (;;) {
    auto used = parser.feed(in_);
    if (!used.ok()) {
      auto error = used.error();
      co_await refuse(status_of(error), error.message);
      co_return false;
    }
    in_.erase(0, *used);
    if (parser.done()) break;
    if (parser.head_done()) {
      phase_ = Phase::Body;
      set_deadline(options.header_timeout);
      if (!continued && parser.body_size() == 0 && in_.empty() && has_expect(parser.request())) {
        auto sent = co_await stream_->write("HTTP/1.1 100 Continue\r\n\r\n");
        if (!sent.ok()) co_return false;
      }
      continued = true;
    }
    auto n = co_await stream_->read_append(in_, kReadAhead);
    if (!n.ok() || *n == 0) co_return false;
    if (!in_head) {
      in_head = true;
      set_deadline(options.header_timeout);
    }
  }
  static_cast<Request&>(request) = std::move(parser.request());
  request.body = parser.take_body();
  keep_alive = parser.keep_alive();
  version_ = parser.version();
  if (in_.empty()) std::string().swap(in_);  // an idle connection holds no buffer
  deadline_ = std::chrono::steady_clock::time_point::max();
  co_return true;
}

Awaitable<void> ServerConnection::serve(std::shared_ptr<ServerConnection> self) {
  auto& server = *self->server_;
  if (server.options.tls) {
    self->set_deadline(server.options.header_timeout);
    auto shaken = co_await self->stream_->handshake(server.options.tls, std::string());
    if (!shaken.ok()) {
      log::debug("connection from {}: {}", self->peer_.address, shaken.error().message);
      co_return;
    }
    self->peer_.certificate = self->stream_->identity();
  }
  for (bool first = true;; first = false) {
    ServerRequest request;
    bool keep_alive = false;
    bool got = co_await self->read_request(request, first, keep_alive);
    if (!got) break;
    request.peer = self->peer_;
    request.closed = self->closed_.get_token();
    self->phase_ = Phase::Handler;
    self->watch_peer();
    ServerResponse response(self, request, self->version_, keep_alive);
    std::string failure;
    try {
      co_await server.handler(request, response);
    } catch (const std::exception& e) {
      failure = e.what();
    }
    ++self->watch_;
    if (!failure.empty()) log::error("{} {}: the handler failed: {}", request.method, request.raw_path(), failure);
    if (response.given_away()) co_return;
    if (!response.started()) {
      Response nothing;
      nothing.status = 500;
      nothing.headers.set("Content-Type", "text/plain; charset=utf-8");
      nothing.body = "internal error: the request was not answered\n";
      auto sent = co_await response.send(std::move(nothing));
      if (!sent.ok()) break;
    }
    if (!response.whole() || self->closed_.stop_requested()) break;
    if (!response.keep_alive()) {
      co_await self->linger();
      break;
    }
  }
  self->timer_.cancel();
  self->stream_->close();
  self->closed_.request_stop();
}

}  // namespace nodevirt::net
