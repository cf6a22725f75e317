// The one history: the latest events in the order of their revisions, and who follows them.
// Everything here is on the server's executor (one thread).
#pragma once
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "standalone/apiserver/store/object.hpp"

namespace nodevirt::apiserver {

enum class EventType : unsigned char { Added, Modified, Deleted };

/// One committed change. The object's bytes are those of the store, shared by every watcher.
struct Event {
  EventType type;
  std::string resource;
  StoredPtr object;     ///< of a deletion: the last state, carrying the revision of the deletion
  StoredPtr previous;   ///< null for Added; its text may be gone
  /// The same object in another form (a version, a Table row), made once, shared by watchers.
  mutable std::vector<std::pair<std::string, std::shared_ptr<const std::string>>> forms;
  std::int64_t revision() const { return object->revision; }
};
using EventPtr = std::shared_ptr<const Event>;

class History {
 public:
  struct Limits {
    std::size_t max_events = 4096;
    std::size_t max_bytes = 1u << 20;   ///< or what `allow` says, if that is more
    std::size_t max_queue = 4096;   ///< of one follower; more and it is cut off
  };

  /// Receives events of one resource (all of them for an empty name) as they are committed.
  class Follower {
   public:
    using Filter = std::function<bool(const Event&)>;
    std::deque<EventPtr> queue;
    bool lagging = false;                ///< cut off: it must start again
    std::function<void()> wake;          ///< called after something was queued
   private:
    friend class History;
    std::string resource;
    Filter wanted;
  };

  History(std::int64_t start, Limits limits) : start_(start), limits_(limits) {}

  /// All events with a revision above this one are here; a watch from below it is Expired.
  std::int64_t start() const { return start_; }
  void publish(EventPtr event);
  /// The events may take this many bytes: a server with more objects is asked for more of their past.
  void allow(std::size_t bytes) { allowed_ = bytes; }
  /// The events of one resource after `revision`, oldest first, that `wanted` keeps.
  std::vector<EventPtr> since(std::int64_t revision, const std::string& resource, const Follower::Filter& wanted) const;
  /// Follows until the returned pointer is dropped.
  std::shared_ptr<Follower> follow(std::string resource, Follower::Filter wanted);
  std::size_t size() const { return ring_.size(); }

 private:
  void trim();
  std::int64_t start_;
  Limits limits_;
  std::deque<EventPtr> ring_;
  std::size_t bytes_ = 0, allowed_ = 0;
  std::unordered_map<std::string, std::vector<std::weak_ptr<Follower>>> followers_;
};

}  // namespace nodevirt::apiserver
