#include "pkg/runtime/controller.hpp"

#include "pkg/base/log.hpp"
#include "pkg/k8s/status.hpp"
#include "pkg/runtime/delay_queue.hpp"
#include "pkg/runtime/rate_limiter.hpp"
#include "pkg/runtime/signal.hpp"
#include "pkg/runtime/work_queue.hpp"

namespace nodevirt::runtime {

struct Controller::Impl {
  Impl(Clock& c, Options o, Reconcile r)
      : clock(c), options(std::move(o)), reconcile(std::move(r)), limiter(options.backoff_min, options.backoff_max) {}

  void add(std::string key) {
    if (queue.add(std::move(key))) work.notify_one();
  }

  void add_after(std::string key, Clock::Duration delay) {
    if (delay <= Clock::Duration::zero()) return add(std::move(key));
    auto before = delayed.next();
    delayed.add(std::move(key), clock.now() + delay);
    if (before != delayed.next()) {
      alarm_changed.request_stop();  // the sleeper below takes up the earlier time
      alarm_changed = StopSource();
    }
  }

  void settle(const std::string& key, const Result<Action>& result) {
    if (result.ok()) {
      limiter.forget(key);
      if (result->requeue_after) add_after(key, *result->requeue_after);
    } else {
      auto wait = limiter.next(key);
      // A lost race is the normal course of things: the watch brings the other writer's version.
      const Error& e = result.error();
      if (k8s::is_conflict(e) || k8s::is_failed_test(e)) log::debug("{}: {}: {}", options.name, key, e.message);
      else log::warning("{}: {}: {}", options.name, key, e.message);
      add_after(key, wait);
    }
    if (queue.done(key)) work.notify_one();
  }

  Clock& clock;
  Options options;
  Reconcile reconcile;
  WorkQueue queue;
  DelayQueue delayed;
  RateLimiter limiter;
  Signal work;
  StopSource alarm_changed;
  Gate gate;
};

namespace {

template <class Impl>
Awaitable<Result<Action>> reconcile_once(std::shared_ptr<Impl> impl, std::string key) {
  std::string failure;
  try {
    co_return co_await impl->reconcile(key);
  } catch (const std::exception& e) {
    failure = e.what();
  }
  // An object that our code did not expect must not end the program for all others.
  co_return Error(Code::Internal, "", "exception: " + failure);
}

template <class Impl>
Awaitable<void> work(std::shared_ptr<Impl> impl, StopToken stop, [[maybe_unused]] Gate::Pass pass) {
  while (!stop.stop_requested()) {
    auto key = impl->queue.take();
    if (!key) {
      co_await impl->work.wait(stop);
      continue;
    }
    auto result = co_await reconcile_once(impl, *key);
    impl->settle(*key, result);
  }
}

template <class Impl>
Awaitable<void> ring(std::shared_ptr<Impl> impl, StopToken stop, [[maybe_unused]] Gate::Pass pass) {
  while (!stop.stop_requested()) {
    for (auto& key : impl->delayed.take_due(impl->clock.now())) impl->add(std::move(key));
    auto next = impl->delayed.next();
    StopSource wake = impl->alarm_changed;
    auto relay = [wake]() mutable { wake.request_stop(); };
    std::stop_callback<decltype(relay)> on_stop(stop, relay);
    auto wait = next ? *next - impl->clock.now() : Clock::Duration(std::chrono::hours(24));
    StopToken token = wake.get_token();
    if (wait > Clock::Duration::zero()) co_await impl->clock.sleep(wait, token);
  }
}

}  // namespace

Controller::Controller(Clock& clock, Options options, Reconcile reconcile)
    : impl_(std::make_shared<Impl>(clock, std::move(options), std::move(reconcile))) {}
Controller::~Controller() = default;

void Controller::enqueue(std::string key) { impl_->add(std::move(key)); }
void Controller::enqueue_after(std::string key, Clock::Duration delay) { impl_->add_after(std::move(key), delay); }
bool Controller::idle() const { return impl_->queue.idle(); }

Awaitable<void> Controller::run(StopToken stop) {
  auto impl = impl_;
  auto executor = co_await boost::asio::this_coro::executor;
  spawn(executor, ring(impl, stop, impl->gate.enter()), impl->options.name + " delays");
  for (int i = 0; i < impl->options.workers; ++i)
    spawn(executor, work(impl, stop, impl->gate.enter()), impl->options.name + " worker");
  co_await impl->gate.drained();
}

}  // namespace nodevirt::runtime
