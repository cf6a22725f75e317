#include "standalone/apiserver/store/history.hpp"

#include <algorithm>

namespace nodevirt::apiserver {

namespace {
std::size_t cost(const Event& e) { return 256 + (e.object->text ? e.object->text->size() : 0); }
}

void History::publish(EventPtr event) {
  bytes_ += cost(*event);
  ring_.push_back(event);
  trim();
  for (const auto& name : {event->resource, std::string()}) {
    auto found = followers_.find(name);
    if (found == followers_.end()) continue;
    // Waking runs no follower's code here: it only arms what resumes it later.
    auto& list = found->second;
    for (auto& weak : list) {
      auto f = weak.lock();
      if (!f || f->lagging || (f->wanted && !f->wanted(*event))) continue;
      if (f->queue.size() >= limits_.max_queue) {
        f->lagging = true;
        f->queue.clear();
      } else {
        f->queue.push_back(event);
      }
      if (f->wake) f->wake();
    }
    std::erase_if(list, [](const auto& w) { return w.expired(); });
    if (list.empty()) followers_.erase(found);
  }
}

void History::trim() {
  const auto max_bytes = std::max(limits_.max_bytes, allowed_);
  while (ring_.size() > limits_.max_events || (bytes_ > max_bytes && ring_.size() > 1)) {
    start_ = ring_.front()->revision();
    bytes_ -= cost(*ring_.front());
    ring_.pop_front();
  }
}

std::vector<EventPtr> History::since(std::int64_t revision, const std::string& resource, const Follower::Filter& wanted) const {
  std::vector<EventPtr> out;
  auto it = std::upper_bound(ring_.begin(), ring_.end(), revision,
                             [](std::int64_t r, const EventPtr& e) { return r < e->revision(); });
  for (; it != ring_.end(); ++it)
    if ((resource.empty() || (*it)->resource == resource) && (!wanted || wanted(**it))) out.push_back(*it);
  return out;
}

std::shared_ptr<History::Follower> History::follow(std::string resource, Follower::Filter wanted) {
  auto f = std::make_shared<Follower>();
  f->resource = resource;
  f->wanted = std::move(wanted);
  followers_[std::move(resource)].push_back(f);
  return f;
}

}  // namespace nodevirt::apiserver
