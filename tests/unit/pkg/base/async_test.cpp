// Work on the process-wide pool, and the end of the io_context that waits for it.
#include "pkg/base/async.hpp"
#include "pkg/base/way_back.hpp"

#include <catch2/catch.hpp>

#include <future>
#include <thread>

#include <boost/asio/io_context.hpp>
#include <boost/asio/strand.hpp>

using namespace nodevirt;

namespace {

struct Held {
  std::promise<void> begun, go;
  std::atomic<bool> ended = false;
};

Awaitable<void> wait_for(Held* held, std::shared_ptr<int> mine, bool* resumed) {
  auto work = [held] {
    held->begun.set_value();
    held->go.get_future().wait();
    held->ended = true;
  };
  co_await run_blocking(work);
  *resumed = true;
  *mine = 1;
}

}  // namespace

TEST_CASE("blocking work comes back to the executor that asked for it") {
  boost::asio::io_context io;
  std::thread::id where, me = std::this_thread::get_id();
  int value = 0;
  auto task = [](std::thread::id* ran, int* out) -> Awaitable<void> {
    auto work = [] { return 42; };
    *out = co_await blocking(work);
    *ran = std::this_thread::get_id();
  };
  spawn(io.get_executor(), task(&where, &value), "test");
  spawn(boost::asio::make_strand(io), task(&where, &value), "test");
  io.run();
  CHECK(value == 42);
  CHECK(where == me);
}

TEST_CASE("an io_context that ends waits for the work, and the coroutine is taken down with it") {
  auto io = std::make_unique<boost::asio::io_context>();
  Held held;
  bool resumed = false;
  auto mine = std::make_shared<int>(0);
  std::weak_ptr<int> seen = mine;
  spawn(io->get_executor(), wait_for(&held, std::move(mine), &resumed), "test");
  io->poll();
  held.begun.get_future().wait();
  std::thread ender([&] { io.reset(); });
  held.go.set_value();
  ender.join();
  CHECK(held.ended);
  CHECK_FALSE(resumed);
  CHECK(seen.expired());
}

TEST_CASE("work that outlives its io_context by more than a moment comes back to nothing") {
  auto io = std::make_unique<boost::asio::io_context>();
  auto held = std::make_unique<Held>();
  bool resumed = false;
  std::promise<void> over;
  auto task = [](Held* h, std::shared_ptr<int> mine, bool* r) -> Awaitable<void> { co_await wait_for(h, mine, r); };
  static std::shared_ptr<int> mine;   // what such a coroutine has is never given back
  mine = std::make_shared<int>(0);
  spawn(io->get_executor(), task(held.get(), mine, &resumed), "test");
  io->poll();
  held->begun.get_future().wait();
  io.reset();
  CHECK_FALSE(held->ended);
  held->go.set_value();
  // The pool's threads are few: what they do next comes after it.
  boost::asio::io_context other;
  auto after = [](Held* h) -> Awaitable<void> {
    auto look = [h] { while (!h->ended) std::this_thread::yield(); };
    co_await run_blocking(look);
  };
  spawn(other.get_executor(), after(held.get()), "test");
  other.run();
  CHECK(held->ended);
  CHECK_FALSE(resumed);
}

TEST_CASE("who comes back to an io_context that is gone is turned away, and not waited for without a promise") {
  auto io = std::make_unique<boost::asio::io_context>();
  auto way = WayBack::of(io->get_executor());
  CHECK(way == WayBack::of(boost::asio::make_strand(*io)));
  int came = 0;
  auto post = [&] { ++came; };
  CHECK(way->come(post));
  way->promise();
  CHECK(way->come_as_promised(post));
  auto began = std::chrono::steady_clock::now();
  io.reset();
  CHECK(std::chrono::steady_clock::now() - began < 1s);
  CHECK_FALSE(way->come(post));
  CHECK(came == 2);
}
