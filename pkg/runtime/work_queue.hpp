// The first layer of the work queue: a set of dirty keys, in order of arrival.
#pragma once
#include <deque>
#include <optional>
#include <string>
#include <unordered_set>

namespace nodevirt::runtime {

/// A key that is added twice before it is taken is taken once; one that is added while it is being
/// processed is taken again after `done`. So one key is never in two hands.
class WorkQueue {
 public:
  /// True when there is something new to take.
  bool add(std::string key);
  std::optional<std::string> take();
  /// True when the key became dirty meanwhile, and can be taken again.
  bool done(const std::string& key);
  bool empty() const { return queue_.empty(); }
  bool idle() const { return queue_.empty() && processing_.empty(); }
  std::size_t size() const { return queue_.size(); }

 private:
  std::deque<std::string> queue_;
  std::unordered_set<std::string> dirty_, processing_;
};

}  // namespace nodevirt::runtime
