#include "pkg/base/clock.hpp"

#include <map>
#include <mutex>

#include <boost/asio/post.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <fmt/chrono.h>

namespace nodevirt {

namespace asio = boost::asio;

namespace {

// Waits on `timer` until it expires or is cancelled; a stop cancels it from any thread.
Awaitable<void> wait_on(std::shared_ptr<asio::steady_timer> timer, StopToken stop) {
  auto wake = [timer] { asio::post(timer->get_executor(), [timer] { timer->cancel(); }); };
  std::stop_callback<decltype(wake)> on_stop(stop, wake);
  boost::system::error_code ec;
  co_await timer->async_wait(asio::redirect_error(asio::use_awaitable, ec));
}

class RealClock final : public Clock {
 public:
  Time now() const override { return std::chrono::steady_clock::now(); }
  WallTime wall() const override {
    return std::chrono::time_point_cast<std::chrono::microseconds>(std::chrono::system_clock::now());
  }
  Awaitable<bool> sleep(Duration d, StopToken stop) override {
    if (stop.stop_requested()) co_return false;
    auto executor = co_await asio::this_coro::executor;
    auto timer = std::make_shared<asio::steady_timer>(executor, d);
    co_await wait_on(timer, stop);
    co_return !stop.stop_requested();
  }
};

}  // namespace

Clock& system_clock() {
  static RealClock clock;
  return clock;
}

struct ManualClock::State {
  mutable std::mutex mutex;
  Time now{};
  WallTime start;
  std::multimap<Time, std::shared_ptr<asio::steady_timer>> sleepers;
};

ManualClock::ManualClock(WallTime start) : state_(std::make_shared<State>()) { state_->start = start; }
ManualClock::~ManualClock() = default;

Clock::Time ManualClock::now() const {
  std::lock_guard lock(state_->mutex);
  return state_->now;
}

Clock::WallTime ManualClock::wall() const {
  std::lock_guard lock(state_->mutex);
  return state_->start + std::chrono::duration_cast<std::chrono::microseconds>(state_->now.time_since_epoch());
}

Awaitable<bool> ManualClock::sleep(Duration d, StopToken stop) {
  if (stop.stop_requested()) co_return false;
  auto executor = co_await asio::this_coro::executor;
  auto state = state_;
  auto timer = std::make_shared<asio::steady_timer>(executor, asio::steady_timer::time_point::max());
  Time due;
  {
    std::lock_guard lock(state->mutex);
    due = state->now + d;
    if (d <= Duration::zero()) co_return true;
    state->sleepers.emplace(due, timer);
  }
  co_await wait_on(timer, stop);
  std::lock_guard lock(state->mutex);
  for (auto [it, end] = state->sleepers.equal_range(due); it != end; ++it)
    if (it->second == timer) {
      state->sleepers.erase(it);
      break;
    }
  co_return !stop.stop_requested();
}

void ManualClock::advance(Duration d) {
  std::lock_guard lock(state_->mutex);
  state_->now += d;
  while (!state_->sleepers.empty() && state_->sleepers.begin()->first <= state_->now) {
    auto timer = state_->sleepers.begin()->second;
    state_->sleepers.erase(state_->sleepers.begin());
    asio::post(timer->get_executor(), [timer] { timer->cancel(); });
  }
}

std::size_t ManualClock::sleepers() const {
  std::lock_guard lock(state_->mutex);
  return state_->sleepers.size();
}

std::string format_time(Clock::WallTime t) {
  return fmt::format("{:%Y-%m-%dT%H:%M:%S}Z", fmt::gmtime(std::chrono::system_clock::to_time_t(
                                                   std::chrono::time_point_cast<std::chrono::seconds>(t))));
}

std::string format_micro_time(Clock::WallTime t) {
  auto micros = t.time_since_epoch().count() % 1000000;
  if (micros < 0) micros += 1000000;
  auto whole = std::chrono::floor<std::chrono::seconds>(t);
  return fmt::format("{:%Y-%m-%dT%H:%M:%S}.{:06}Z", fmt::gmtime(std::chrono::system_clock::to_time_t(whole)), micros);
}

Result<Clock::WallTime> parse_time(std::string_view text) {
  auto bad = [&] {
    return Error(Code::InvalidArgument, "Invalid",
                 fmt::format("\"{}\" is not a time; RFC 3339 such as 2026-01-02T03:04:05Z is expected",
                             text.substr(0, 64)));
  };
  std::size_t at = 0;
  bool ok = true;
  auto digits = [&](int count) {
    int value = 0;
    for (int i = 0; i < count; ++i, ++at) {
      if (at >= text.size() || text[at] < '0' || text[at] > '9') { ok = false; return 0; }
      value = value * 10 + (text[at] - '0');
    }
    return value;
  };
  auto expect = [&](char c) { ok = ok && at < text.size() && text[at] == c; ++at; };
  int year = digits(4); expect('-');
  int month = digits(2); expect('-');
  int day = digits(2);
  if (!ok || at >= text.size() || (text[at] != 'T' && text[at] != 't' && text[at] != ' ')) return bad();
  ++at;
  int hour = digits(2); expect(':');
  int minute = digits(2); expect(':');
  int second = digits(2);
  std::int64_t micros = 0;
  if (ok && at < text.size() && text[at] == '.') {
    ++at;
    std::int64_t scale = 100000;
    std::size_t first = at;
    for (; at < text.size() && text[at] >= '0' && text[at] <= '9'; ++at, scale /= 10) micros += (text[at] - '0') * scale;
    ok = at > first;
  }
  int offset = 0;
  if (ok && at < text.size() && (text[at] == 'Z' || text[at] == 'z')) ++at;
  else if (ok && at < text.size() && (text[at] == '+' || text[at] == '-')) {
    int sign = text[at++] == '-' ? -1 : 1;
    int h = digits(2); expect(':');
    offset = sign * (h * 60 + digits(2));
  } else ok = false;
  std::chrono::year_month_day date{std::chrono::year(year), std::chrono::month(unsigned(month)), std::chrono::day(unsigned(day))};
  if (!ok || at != text.size() || !date.ok() || hour > 23 || minute > 59 || second > 60) return bad();
  return Clock::WallTime(std::chrono::sys_days(date) + std::chrono::hours(hour) + std::chrono::minutes(minute - offset) +
                         std::chrono::seconds(second) + std::chrono::microseconds(micros));
}

}  // namespace nodevirt
