// A Transport whose answers a test writes, and whose requests it reads.
#pragma once
#include <deque>
#include <functional>

#include <boost/asio/io_context.hpp>

#include "pkg/base/json.hpp"
#include "pkg/client/transport.hpp"
#include "pkg/k8s/status.hpp"
#include "pkg/runtime/signal.hpp"

namespace nodevirt::testing {

/// A streamed answer that the test feeds.
struct ScriptedStream {
  int status = 200;
  std::deque<std::string> pieces;
  bool ended = false, aborted = false;
  runtime::Signal changed;

  void push(std::string text) { pieces.push_back(std::move(text)); changed.notify_all(); }
  void event(const char* type, const Json& object) { push(Json{{"type", type}, {"object", object}}.dump() + "\n"); }
  void end() { ended = true; changed.notify_all(); }
};

class ScriptedReader final : public net::BodyReader {
 public:
  explicit ScriptedReader(std::shared_ptr<ScriptedStream> s) : stream_(std::move(s)) { head_.status = stream_->status; }
  const net::Response& head() const override { return head_; }
  Awaitable<Result<std::string>> read() override {
    auto s = stream_;
    StopToken never;
    while (s->pieces.empty() && !s->ended && !s->aborted) co_await s->changed.wait(never);
    if (s->aborted) co_return Error(Code::Cancelled, "aborted");
    if (s->pieces.empty()) co_return std::string();
    std::string piece = std::move(s->pieces.front());
    s->pieces.pop_front();
    co_return piece;
  }
  void abort() override { stream_->aborted = true; stream_->changed.notify_all(); }

 private:
  std::shared_ptr<ScriptedStream> stream_;
  net::Response head_;
};

class ScriptedTransport final : public client::Transport {
 public:
  std::function<Result<net::Response>(const net::Request&)> on_send;
  std::function<Result<std::shared_ptr<ScriptedStream>>(const net::Request&)> on_open;
  std::vector<net::Request> requests;   ///< of send

  Awaitable<Result<net::Response>> send(net::Request request) override {
    requests.push_back(request);
    if (!on_send) co_return Error(Code::Unavailable, "nothing is scripted");
    co_return on_send(request);
  }
  Awaitable<Result<std::unique_ptr<net::BodyReader>>> open(net::Request request) override {
    if (!on_open) co_return Error(Code::Unavailable, "nothing is scripted");
    auto stream = on_open(request);
    if (!stream.ok()) co_return stream.error();
    co_return std::unique_ptr<net::BodyReader>(std::make_unique<ScriptedReader>(*stream));
  }
  Awaitable<Result<std::unique_ptr<net::WebSocket>>> websocket(net::Request, std::vector<std::string>) override {
    co_return Error(Code::Unimplemented, "no WebSockets here");
  }
};

inline net::Response json_answer(int status, const Json& body) {
  net::Response r;
  r.status = status;
  r.body = body.dump();
  return r;
}
inline net::Response error_answer(const Error& error) { return json_answer(k8s::http_status(error), k8s::status_object(error)); }

/// Runs everything that can run without time passing.
inline void settle(boost::asio::io_context& io) {
  io.restart();
  while (io.poll() > 0) io.restart();
}

}  // namespace nodevirt::testing
