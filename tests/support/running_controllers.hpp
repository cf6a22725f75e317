// virt-controller's controllers against a server in memory, one request of which may fail, before or after it was done.
#pragma once
#include "tests/support/memory_api.hpp"
#include "virt-controller/controllers.hpp"

namespace nodevirt::testing {

/// Fails the n-th write, or loses its answer.
class LossyApi final : public MemoryApi {
 public:
  int lose_before = -1, lose_after = -1, writes = 0;
  Awaitable<Result<net::Response>> send(net::Request request) override {
    bool write = request.method != "GET" && request.path().find("/events") == std::string::npos;
    int n = write ? writes++ : -2;
    if (n == lose_before) co_return Error(Code::Unavailable, "the connection broke");
    auto done = co_await MemoryApi::send(std::move(request));
    if (n == lose_after) co_return Error(Code::Unavailable, "the answer was lost");
    co_return done;
  }
};

struct RunningControllers {
  boost::asio::io_context io;
  ManualClock clock{*parse_time("2026-01-01T00:00:00Z")};
  std::shared_ptr<LossyApi> api = std::make_shared<LossyApi>();
  StopSource stop;
  std::unique_ptr<virt_controller::Controllers> controllers;
  int rounds;                      ///< of 5 ms until nothing moves any more, back-offs of failed requests included

  explicit RunningControllers(int settle_rounds) : rounds(settle_rounds) {}
  ~RunningControllers() { end(); }
  void start() {
    stop = StopSource();
    virt_controller::Options o;
    o.launcher_image = "launcher:1";
    controllers = std::make_unique<virt_controller::Controllers>(io.get_executor(), client::Client(api), clock, o);
    spawn(io.get_executor(), controllers->follow(stop.get_token()), "follow");
    spawn(io.get_executor(), controllers->lead(stop.get_token()), "lead");
    settle();
  }
  void end() {
    stop.request_stop();
    poll();
    controllers.reset();
    poll();
  }
  void poll() {
    io.restart();
    while (io.poll() > 0) io.restart();
  }
  void settle() {
    poll();
    for (int i = 0; i < rounds; ++i) {
      clock.advance(std::chrono::milliseconds(5));
      poll();
    }
  }
  void pass(Clock::Duration d) {
    clock.advance(d);
    settle();
  }
};

}  // namespace nodevirt::testing
