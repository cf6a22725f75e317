#include "pkg/base/clock.hpp"

#include <boost/asio/io_context.hpp>
#include <catch2/catch.hpp>

using namespace nodevirt;

TEST_CASE("times are written and read in RFC 3339") {
  auto t = parse_time("2026-01-02T03:04:05.678901Z");
  REQUIRE(t.ok());
  CHECK(format_time(*t) == "2026-01-02T03:04:05Z");
  CHECK(format_micro_time(*t) == "2026-01-02T03:04:05.678901Z");
  CHECK(format_time(*parse_time("2026-01-02T03:04:05+02:00")) == "2026-01-02T01:04:05Z");
  for (const char* bad : {"", "2026-01-02", "2026-13-02T03:04:05Z", "2026-01-02T03:04:05", "2026-01-02T03:04:05.Z", "2026-02-30T00:00:00Z"})
    CHECK_FALSE(parse_time(bad).ok());
}

namespace {
Awaitable<void> sleep_and_note(ManualClock& clock, Clock::Duration d, StopToken stop, std::vector<std::string>& notes, std::string name) {
  bool passed = co_await clock.sleep(d, stop);
  notes.push_back(name + (passed ? " passed" : " stopped"));
}
}  // namespace

TEST_CASE("the manual clock wakes sleepers in order, and a stop wakes at once") {
  boost::asio::io_context io;
  ManualClock clock;
  StopSource stop;
  std::vector<std::string> notes;
  spawn(io.get_executor(), sleep_and_note(clock, 2s, {}, notes, "b"), "b");
  spawn(io.get_executor(), sleep_and_note(clock, 1s, {}, notes, "a"), "a");
  spawn(io.get_executor(), sleep_and_note(clock, 9s, stop.get_token(), notes, "c"), "c");
  io.poll();
  CHECK(clock.sleepers() == 3);
  clock.advance(2s);
  io.poll();
  CHECK(notes == std::vector<std::string>{"a passed", "b passed"});
  stop.request_stop();
  io.poll();
  CHECK(notes.back() == "c stopped");
  CHECK(clock.sleepers() == 0);
}
