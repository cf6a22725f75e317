// One key runs once at a time, nothing that was asked for is lost, failures wait longer and longer.
#include <catch2/catch.hpp>

#include "pkg/k8s/status.hpp"
#include "pkg/runtime/controller.hpp"
#include "pkg/runtime/delay_queue.hpp"
#include "pkg/runtime/rate_limiter.hpp"
#include "pkg/runtime/signal.hpp"
#include "pkg/runtime/work_queue.hpp"
#include "tests/support/scripted_transport.hpp"

using namespace nodevirt;
using namespace nodevirt::runtime;
using nodevirt::testing::settle;

TEST_CASE("a key that is added twice is taken once, and again when it became dirty in between") {
  WorkQueue q;
  CHECK(q.add("a"));
  CHECK_FALSE(q.add("a"));
  CHECK(q.add("b"));
  CHECK(q.take() == "a");
  CHECK_FALSE(q.add("a"));          // in hand: not for another worker
  CHECK(q.take() == "b");
  CHECK_FALSE(q.take().has_value());
  CHECK_FALSE(q.done("b"));
  CHECK(q.done("a"));
  CHECK(q.take() == "a");
  CHECK_FALSE(q.idle());
  CHECK_FALSE(q.done("a"));
  CHECK(q.idle());
}

TEST_CASE("a delayed key keeps its earliest time") {
  DelayQueue q;
  Clock::Time t{};
  q.add("a", t + 5s);
  q.add("b", t + 3s);
  q.add("a", t + 9s);
  q.add("b", t + 1s);
  CHECK(q.next() == t + 1s);
  CHECK(q.take_due(t).empty());
  CHECK(q.take_due(t + 4s) == std::vector<std::string>{"b"});
  CHECK(q.take_due(t + 20s) == std::vector<std::string>{"a"});
  CHECK(q.empty());
}

TEST_CASE("failures double the wait up to the bound, and success forgets them") {
  RateLimiter r(5ms, 1s);
  CHECK(r.next("a") == 5ms);
  CHECK(r.next("a") == 10ms);
  CHECK(r.next("b") == 5ms);
  for (int i = 0; i < 100; ++i) r.next("a");
  CHECK(r.next("a") == 1s);
  r.forget("a");
  CHECK(r.next("a") == 5ms);
}

namespace {

// A controller whose reconcile the test holds, releases and answers.
struct Fixture {
  boost::asio::io_context io;
  ManualClock clock;
  std::vector<std::string> started;
  Signal release;
  bool hold = false;
  std::function<Result<Action>(const std::string&)> answer = [](const std::string&) { return Action{}; };
  StopSource stop;
  bool ended = false;
  Controller controller;

  static Awaitable<Result<Action>> reconcile(Fixture* f, std::string key) {
    f->started.push_back(key);
    StopToken never;
    while (f->hold) co_await f->release.wait(never);
    co_return f->answer(key);
  }
  static Awaitable<void> run(Fixture* f) {
    co_await f->controller.run(f->stop.get_token());
    f->ended = true;
  }
  Fixture() : controller(clock, {.name = "test", .workers = 2}, [this](std::string key) { return reconcile(this, std::move(key)); }) {
    spawn(io.get_executor(), run(this), "controller");
    settle(io);
  }
  ~Fixture() {
    hold = false;
    release.notify_all();
    stop.request_stop();
    settle(io);
  }
  void let_go() {
    hold = false;
    release.notify_all();
    settle(io);
  }
};

}  // namespace

TEST_CASE("an enqueued key runs at once, without the clock moving") {
  Fixture f;
  f.controller.enqueue("a");
  settle(f.io);
  CHECK(f.started == std::vector<std::string>{"a"});
  CHECK(f.controller.idle());
}

TEST_CASE("one key never runs twice at once, and what came meanwhile runs once after") {
  Fixture f;
  f.hold = true;
  f.controller.enqueue("a");
  settle(f.io);
  f.controller.enqueue("a");
  f.controller.enqueue("a");
  f.controller.enqueue("b");
  settle(f.io);
  CHECK(f.started == std::vector<std::string>{"a", "b"});
  f.let_go();
  CHECK(f.started == std::vector<std::string>{"a", "b", "a"});
}

TEST_CASE("requeue_after comes back when its time has passed, no earlier") {
  Fixture f;
  int runs = 0;
  f.answer = [&](const std::string&) { return ++runs == 1 ? Action{10s} : Action{}; };
  f.controller.enqueue("a");
  settle(f.io);
  f.clock.advance(9s);
  settle(f.io);
  CHECK(runs == 1);
  f.clock.advance(1s);
  settle(f.io);
  CHECK(runs == 2);
  f.clock.advance(100s);
  settle(f.io);
  CHECK(runs == 2);
}

TEST_CASE("an earlier time wakes the sleeper early") {
  Fixture f;
  f.controller.enqueue_after("late", 60s);
  settle(f.io);
  f.controller.enqueue_after("soon", 1s);
  settle(f.io);
  f.clock.advance(1s);
  settle(f.io);
  CHECK(f.started == std::vector<std::string>{"soon"});
}

TEST_CASE("errors and exceptions are tried again after a back-off; other keys are not held up") {
  Fixture f;
  bool throws = GENERATE(false, true);
  int runs = 0;
  f.answer = [&](const std::string& key) -> Result<Action> {
    if (key == "good") return Action{};
    ++runs;
    if (runs < 4 && throws) throw std::runtime_error("odd object");
    if (runs < 4) return Error(Code::Unavailable, "down");
    return Action{};
  };
  f.controller.enqueue("bad");
  f.controller.enqueue("good");
  settle(f.io);
  CHECK(runs == 1);
  CHECK(f.started == std::vector<std::string>{"bad", "good"});
  for (auto wait : {5ms, 10ms, 20ms}) {
    int before = runs;
    f.clock.advance(wait - 1ms);
    settle(f.io);
    CHECK(runs == before);
    f.clock.advance(1ms);
    settle(f.io);
    CHECK(runs == before + 1);
  }
  f.clock.advance(100s);
  settle(f.io);
  CHECK(runs == 4);
}

TEST_CASE("run returns only when the reconciles in flight have ended") {
  Fixture f;
  f.hold = true;
  f.controller.enqueue("a");
  settle(f.io);
  f.stop.request_stop();
  settle(f.io);
  CHECK_FALSE(f.ended);
  f.let_go();
  CHECK(f.ended);
}
