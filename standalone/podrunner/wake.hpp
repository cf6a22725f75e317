// Waiting for news or for a moment, whichever comes first; and for work that goes on beside.
#pragma once
#include <memory>
#include <optional>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "pkg/base/clock.hpp"

namespace nodevirt::podrunner {

/// One coroutine waits; anything on the same executor notifies. A notify while nobody waits is kept.
class Wake {
 public:
  explicit Wake(Executor executor);
  void notify();
  /// Returns after a notify, when `timeout` has passed, or when `stop` is requested.
  Awaitable<void> wait(Clock& clock, std::optional<Clock::Duration> timeout, StopToken stop);

 private:
  struct State;
  std::shared_ptr<State> state_;
};

/// The result of a task that runs beside its owner, who may also walk away from it.
template <class T>
class Task {
 public:
  static Task start(const Executor& executor, Awaitable<T> work, std::string name) {
    Task out;
    out.state_ = std::make_shared<State>(executor);
    spawn(executor, run(out.state_, std::move(work)), std::move(name));
    return out;
  }
  Task() = default;
  explicit operator bool() const { return state_ != nullptr; }
  bool done() const { return state_ && state_->value.has_value(); }
  Awaitable<void> ready() const {
    auto state = state_;
    while (!state->value) co_await state->timer.async_wait(boost::asio::as_tuple(boost::asio::use_awaitable));
  }
  T& value() { return *state_->value; }
  void reset() { state_.reset(); }

 private:
  struct State {
    explicit State(const Executor& e) : timer(e, boost::asio::steady_timer::time_point::max()) {}
    boost::asio::steady_timer timer;
    std::optional<T> value;
  };
  static Awaitable<void> run(std::shared_ptr<State> state, Awaitable<T> work) {
    T value = co_await std::move(work);
    state->value.emplace(std::move(value));
    state->timer.cancel();
  }
  std::shared_ptr<State> state_;
};

}  // namespace nodevirt::podrunner
