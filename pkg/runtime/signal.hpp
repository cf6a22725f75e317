// Waking coroutines that wait for a condition of the same executor.
#pragma once
#include <list>
#include <memory>

#include <boost/asio/steady_timer.hpp>

#include "pkg/base/async.hpp"

namespace nodevirt::runtime {

/// A condition variable for coroutines of one executor: check the condition, then wait; between the two
/// nothing else runs. Not for several threads.
class Signal {
 public:
  /// Every waiter goes on.
  void notify_all();
  /// One of them does.
  void notify_one();
  /// Returns after a notify or when `stop` is requested (on the same executor). May return without cause.
  Awaitable<void> wait(StopToken stop);

 private:
  std::list<std::shared_ptr<boost::asio::steady_timer>> waiters_;
};

/// Counts running coroutines, so that their owner can wait for the last of them.
class Gate {
 public:
  class Pass {
   public:
    explicit Pass(Gate& gate) : gate_(&gate) { ++gate.inside_; }
    Pass(Pass&& o) noexcept : gate_(std::exchange(o.gate_, nullptr)) {}
    ~Pass() { if (gate_ && --gate_->inside_ == 0) gate_->empty_.notify_all(); }

   private:
    Gate* gate_;
  };
  Pass enter() { return Pass(*this); }
  std::size_t inside() const { return inside_; }
  Awaitable<void> drained();

 private:
  std::size_t inside_ = 0;
  Signal empty_;
};

}  // namespace nodevirt::runtime
