// A reconcile loop: keys in, one reconcile at a time per key.
#pragma once
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "pkg/base/clock.hpp"

namespace nodevirt::runtime {

/// What a successful reconcile asks for. Waiting is `requeue_after`; back-off is for errors only.
struct Action {
  std::optional<Clock::Duration> requeue_after;
};

class Controller {
 public:
  struct Options {
    std::string name;                       ///< in logs and metrics
    int workers = 4;                        ///< keys in flight at once; one key never runs twice at once
    Clock::Duration backoff_min = std::chrono::milliseconds(5);
    Clock::Duration backoff_max = std::chrono::seconds(60);
  };
  using Reconcile = std::function<Awaitable<Result<Action>>(std::string key)>;

  Controller(Clock& clock, Options options, Reconcile reconcile);
  ~Controller();
  void enqueue(std::string key);            ///< twice before it runs is once; while it runs: once more after
  void enqueue_after(std::string key, Clock::Duration delay);
  /// Until stopped; returns when the reconciles in flight have ended.
  Awaitable<void> run(StopToken stop);
  bool idle() const;                        ///< nothing queued, nothing running (tests)

 private:
  struct Impl;
  std::shared_ptr<Impl> impl_;
};

}  // namespace nodevirt::runtime
