#include "virt-launcher/event_hub.hpp"

namespace nodevirt::virt_launcher {

namespace {
constexpr std::size_t kMaxQueue = 256;
}

EventHub::Watcher::~Watcher() {
  std::lock_guard lock(hub_.mutex_);
  hub_.watchers_.erase(this);
}

std::optional<v1::DomainEvent> EventHub::Watcher::next(std::chrono::milliseconds timeout) {
  std::unique_lock lock(hub_.mutex_);
  if (!hub_.changed_.wait_for(lock, timeout, [&] { return !queue_.empty(); })) return std::nullopt;
  v1::DomainEvent event = std::move(queue_.front());
  queue_.pop_front();
  in_flight_ = true;
  return event;
}

void EventHub::Watcher::delivered() {
  std::lock_guard lock(hub_.mutex_);
  in_flight_ = false;
}

std::unique_ptr<EventHub::Watcher> EventHub::watch(v1::DomainEvent first) {
  std::unique_ptr<Watcher> w(new Watcher(*this));
  std::lock_guard lock(mutex_);
  first.set_sequence(sequence_);
  w->queue_.push_back(std::move(first));
  watchers_.insert(w.get());
  return w;
}

void EventHub::publish(v1::DomainEvent event) {
  std::lock_guard lock(mutex_);
  event.set_sequence(++sequence_);
  for (Watcher* w : watchers_) {
    if (w->queue_.size() >= kMaxQueue) w->queue_.pop_front();
    w->queue_.push_back(event);
  }
  changed_.notify_all();
}

bool EventHub::drained() const {
  std::lock_guard lock(mutex_);
  for (const Watcher* w : watchers_)
    if (!w->queue_.empty() || w->in_flight_) return false;
  return !watchers_.empty();
}

}  // namespace nodevirt::virt_launcher
