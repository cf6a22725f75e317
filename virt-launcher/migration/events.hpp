// What a migration does, for whoever watches it.
#pragma once
#include <chrono>
#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>

#include "api/proto/launcher.pb.h"

namespace nodevirt::virt_launcher::migration {

namespace v1 = nodevirt::launcher::v1;
using Kind = v1::MigrationEvent::Kind;

/// Thread-safe; never blocks but for its own lock. A watcher that does not keep up loses samples, never decisions.
class Events {
 public:
  class Watcher {
   public:
    ~Watcher();
    std::optional<v1::MigrationEvent> next(std::chrono::milliseconds timeout);
    /// The last event taken by next() has been written to the stream, or is not for it.
    void delivered();

   private:
    friend class Events;
    Watcher(Events& events, std::string uid) : events_(events), uid_(std::move(uid)) {}
    Events& events_;
    std::string uid_;
    std::deque<v1::MigrationEvent> queue_;
    bool in_flight_ = false;
  };

  /// The first event tells how that migration stands: NONE when it is not the one that this pod knows.
  std::unique_ptr<Watcher> watch(const std::string& uid);
  /// A migration begins, or is found again: it stands at `kind`.
  void begin(const std::string& uid, Kind kind, const std::string& error = "");
  /// Nothing happens for another migration than the one begun.
  void publish(const std::string& uid, Kind kind, const std::string& error = "");
  void publish(const std::string& uid, Kind kind, const v1::MigrationSample& sample, const std::string& error = "");
  v1::MigrationEvent standing() const;
  /// Whoever watches has been told all.
  bool drained() const;

 private:
  void push(v1::MigrationEvent event);

  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::set<Watcher*> watchers_;
  v1::MigrationEvent standing_;
  std::uint64_t sequence_ = 0;
};

}  // namespace nodevirt::virt_launcher::migration
