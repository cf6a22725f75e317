// The clock is a parameter everywhere: back-off, leases, timeouts, grace periods.
#pragma once
#include <chrono>
#include <memory>
#include <string>

#include "pkg/base/async.hpp"

namespace nodevirt {

class Clock {
 public:
  using Duration = std::chrono::nanoseconds;
  using Time = std::chrono::time_point<std::chrono::steady_clock, Duration>;
  using WallTime = std::chrono::time_point<std::chrono::system_clock, std::chrono::microseconds>;

  virtual ~Clock() = default;
  /// Monotonic; for intervals.
  virtual Time now() const = 0;
  /// Wall time; for what is written into objects.
  virtual WallTime wall() const = 0;
  /// Returns true when `d` has passed, false as soon as `stop` is requested.
  virtual Awaitable<bool> sleep(Duration d, StopToken stop) = 0;
};

/// The real clock (one for the process; needs no executor: uses the caller's).
Clock& system_clock();

/// A clock that stands still until `advance` is called; sleepers wake in order of their deadlines,
/// on their own executors. For tests.
class ManualClock final : public Clock {
 public:
  explicit ManualClock(WallTime start = WallTime{});
  ~ManualClock() override;
  Time now() const override;
  WallTime wall() const override;
  Awaitable<bool> sleep(Duration d, StopToken stop) override;
  void advance(Duration d);
  /// How many sleepers wait now: lets a test know that the code under test has come to rest.
  std::size_t sleepers() const;

 private:
  struct State;
  std::shared_ptr<State> state_;
};

/// RFC 3339 in UTC with whole seconds (metav1.Time), and with microseconds (metav1.MicroTime).
std::string format_time(Clock::WallTime t);
std::string format_micro_time(Clock::WallTime t);
/// Accepts both forms and offsets; InvalidArgument otherwise.
Result<Clock::WallTime> parse_time(std::string_view text);

}  // namespace nodevirt
