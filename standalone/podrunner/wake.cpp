#include "standalone/podrunner/wake.hpp"

namespace nodevirt::podrunner {
namespace asio = boost::asio;

struct Wake::State {
  explicit State(const Executor& e) : executor(e), timer(e) {}
  void notify() {
    set = true;
    timer.cancel();
  }
  Executor executor;
  asio::steady_timer timer;
  bool set = false;

  static Awaitable<void> alarm(std::shared_ptr<State> state, Clock& clock, Clock::Duration d, StopToken cancel) {
    const bool rang = co_await clock.sleep(d, cancel);
    if (rang) state->notify();
  }
};

Wake::Wake(Executor executor) : state_(std::make_shared<State>(executor)) {}

void Wake::notify() { state_->notify(); }

Awaitable<void> Wake::wait(Clock& clock, std::optional<Clock::Duration> timeout, StopToken stop) {
  auto state = state_;
  StopSource cancel;
  if (!state->set && !stop.stop_requested()) {
    const std::stop_callback stopped(stop, [state] { state->notify(); });
    if (timeout) spawn(state->executor, State::alarm(state, clock, *timeout, cancel.get_token()), "pod alarm");
    state->timer.expires_at(asio::steady_timer::time_point::max());
    co_await state->timer.async_wait(asio::as_tuple(asio::use_awaitable));
    cancel.request_stop();
  }
  state->set = false;
}

}  // namespace nodevirt::podrunner
