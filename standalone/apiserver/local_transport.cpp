#include "standalone/apiserver/local_transport.hpp"

#include <deque>

#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "standalone/apiserver/dispatch.hpp"
#include "standalone/apiserver/server_state.hpp"

namespace nodevirt::apiserver {

namespace asio = boost::asio;

namespace {

/// What passes between the handler and the reader. One of each.
struct Pipe {
  explicit Pipe(const Executor& e) : changed(e, asio::steady_timer::time_point::max()) {}
  asio::steady_timer changed;
  net::Response head;
  bool headed = false, ended = false;
  std::deque<std::string> pieces;
  std::size_t queued = 0;
  StopSource gone;          // the reader went away
  net::ServerRequest request;

  void signal() { changed.cancel(); }
  Awaitable<void> wait() {
    boost::system::error_code ignored;
    co_await changed.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
  }
};

constexpr std::size_t kWindow = 1u << 20;

class PipeResponse final : public net::ResponseStream {
 public:
  explicit PipeResponse(std::shared_ptr<Pipe> pipe) : pipe_(std::move(pipe)) {}
  Awaitable<Result<void>> send(net::Response response) override {
    auto body = std::move(response.body);
    response.body.clear();
    head(std::move(response));
    if (!body.empty()) pipe_->pieces.push_back(std::move(body));
    pipe_->ended = true;
    pipe_->signal();
    co_return Result<void>();
  }
  Awaitable<Result<void>> begin(int status, net::Headers headers) override {
    net::Response r;
    r.status = status;
    r.headers = std::move(headers);
    head(std::move(r));
    co_return Result<void>();
  }
  Awaitable<Result<void>> write(std::string_view bytes) override {
    auto pipe = pipe_;
    while (pipe->queued > kWindow && !pipe->gone.stop_requested()) co_await pipe->wait();
    if (pipe->gone.stop_requested()) co_return Error(Code::Cancelled, "the reader went away");
    pipe->pieces.emplace_back(bytes);
    pipe->queued += bytes.size();
    pipe->signal();
    co_return Result<void>();
  }
  Awaitable<Result<void>> finish() override {
    pipe_->ended = true;
    pipe_->signal();
    co_return Result<void>();
  }
  Awaitable<Result<std::unique_ptr<net::WebSocket>>> upgrade(std::vector<std::string>) override {
    co_return Error(Code::Unimplemented, "no upgrades inside the process");
  }
  Awaitable<Result<std::unique_ptr<net::ByteStream>>> hijack(net::Headers) override {
    co_return Error(Code::Unimplemented, "no upgrades inside the process");
  }
  bool started() const override { return pipe_->headed; }

 private:
  void head(net::Response r) {
    pipe_->head = std::move(r);
    pipe_->headed = true;
    pipe_->signal();
  }
  std::shared_ptr<Pipe> pipe_;
};

class PipeReader final : public net::BodyReader {
 public:
  explicit PipeReader(std::shared_ptr<Pipe> pipe) : pipe_(std::move(pipe)) {}
  ~PipeReader() override { stop(); }
  const net::Response& head() const override { return pipe_->head; }
  Awaitable<Result<std::string>> read() override {
    auto pipe = pipe_;
    while (pipe->pieces.empty() && !pipe->ended && !pipe->gone.stop_requested()) co_await pipe->wait();
    if (pipe->gone.stop_requested()) co_return Error(Code::Cancelled, "the request was aborted");
    if (pipe->pieces.empty()) co_return std::string();
    auto piece = std::move(pipe->pieces.front());
    pipe->pieces.pop_front();
    pipe->queued -= std::min(pipe->queued, piece.size());
    pipe->signal();
    co_return piece;
  }
  void abort() override { stop(); }

 private:
  void stop() {
    pipe_->gone.request_stop();
    pipe_->signal();
  }
  std::shared_ptr<Pipe> pipe_;
};

Awaitable<void> serve(std::shared_ptr<ServerState> state, std::shared_ptr<Pipe> pipe, UserInfo user) {
  PipeResponse response(pipe);
  std::optional<UserInfo> who(std::move(user));
  co_await dispatch(state, pipe->request, response, std::move(who));
  if (!pipe->headed) {
    pipe->head.status = 500;
    pipe->headed = true;
  }
  pipe->ended = true;
  pipe->signal();
}

}  // namespace

Awaitable<Result<std::unique_ptr<net::BodyReader>>> LocalTransport::open(net::Request request) {
  auto state = state_;
  auto pipe = std::make_shared<Pipe>(state->executor);
  static_cast<net::Request&>(pipe->request) = std::move(request);
  pipe->request.peer.address = "local";
  pipe->request.closed = pipe->gone.get_token();
  auto task = serve(state, pipe, user_);
  spawn(state->executor, std::move(task), "local request");
  while (!pipe->headed) co_await pipe->wait();
  std::unique_ptr<net::BodyReader> reader = std::make_unique<PipeReader>(pipe);
  co_return reader;
}

Awaitable<Result<net::Response>> LocalTransport::send(net::Request request) {
  auto opened = co_await open(std::move(request));
  if (!opened.ok()) co_return Error(opened.error());
  auto& reader = **opened;
  net::Response out = reader.head();
  while (true) {
    auto piece = co_await reader.read();
    if (!piece.ok()) co_return Error(piece.error());
    if (piece->empty()) break;
    if (out.body.empty()) out.body = std::move(*piece);
    else out.body += *piece;
  }
  co_return out;
}

Awaitable<Result<std::unique_ptr<net::WebSocket>>> LocalTransport::websocket(net::Request, std::vector<std::string>) {
  co_return Error(Code::Unimplemented, "streams are not available inside the process");
}

}  // namespace nodevirt::apiserver
