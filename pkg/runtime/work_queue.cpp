#include "pkg/runtime/work_queue.hpp"

namespace nodevirt::runtime {

bool WorkQueue::add(std::string key) {
  if (!dirty_.insert(key).second) return false;
  if (processing_.contains(key)) return false;
  queue_.push_back(std::move(key));
  return true;
}

std::optional<std::string> WorkQueue::take() {
  if (queue_.empty()) return std::nullopt;
  std::string key = std::move(queue_.front());
  queue_.pop_front();
  dirty_.erase(key);
  processing_.insert(key);
  return key;
}

bool WorkQueue::done(const std::string& key) {
  processing_.erase(key);
  if (!dirty_.contains(key)) return false;
  queue_.push_back(key);
  return true;
}

}  // namespace nodevirt::runtime
