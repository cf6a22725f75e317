// What the domain does, for whoever watches.
#pragma once
#include <chrono>
#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <set>

#include "api/proto/launcher.pb.h"

namespace nodevirt::virt_launcher {

namespace v1 = nodevirt::launcher::v1;

/// Thread-safe. Each watcher has a bounded queue of its own; one that does not keep up loses the oldest
/// events, never the newest: the state in the last event is always the latest.
class EventHub {
 public:
  class Watcher {
   public:
    ~Watcher();
    /// The next event, or nothing when `timeout` passes.
    std::optional<v1::DomainEvent> next(std::chrono::milliseconds timeout);
    /// The last event taken by next() has been written to the stream.
    void delivered();

   private:
    friend class EventHub;
    explicit Watcher(EventHub& hub) : hub_(hub) {}
    EventHub& hub_;
    std::deque<v1::DomainEvent> queue_;
    bool in_flight_ = false;
  };

  /// A watcher whose first event is `first` (with the present sequence number).
  std::unique_ptr<Watcher> watch(v1::DomainEvent first);
  /// Numbers the event and hands it to all watchers.
  void publish(v1::DomainEvent event);
  /// True once every event has been written to at least one watcher and none has events left.
  bool drained() const;

 private:
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::set<Watcher*> watchers_;
  std::uint64_t sequence_ = 0;
};

}  // namespace nodevirt::virt_launcher
