#include "virt-launcher/migration/events.hpp"

#include <algorithm>

namespace nodevirt::virt_launcher::migration {

namespace {

constexpr std::size_t kMaxQueue = 512;

bool expendable(Kind kind) { return kind == v1::MigrationEvent::SAMPLE || kind == v1::MigrationEvent::ITERATION; }

// Whether an event changes how the migration stands: what was released stays released, whatever the job says later.
bool moves(Kind from, Kind to) {
  if (from == v1::MigrationEvent::RELEASED) return false;
  if (!expendable(to)) return true;
  return to == v1::MigrationEvent::SAMPLE && from == v1::MigrationEvent::NONE;
}

}  // namespace

Events::Watcher::~Watcher() {
  std::lock_guard lock(events_.mutex_);
  events_.watchers_.erase(this);
}

std::optional<v1::MigrationEvent> Events::Watcher::next(std::chrono::milliseconds timeout) {
  std::unique_lock lock(events_.mutex_);
  if (!events_.changed_.wait_for(lock, timeout, [&] { return !queue_.empty(); })) return std::nullopt;
  v1::MigrationEvent event = std::move(queue_.front());
  queue_.pop_front();
  in_flight_ = true;
  return event;
}

void Events::Watcher::delivered() {
  std::lock_guard lock(events_.mutex_);
  in_flight_ = false;
}

std::unique_ptr<Events::Watcher> Events::watch(const std::string& uid) {
  std::unique_ptr<Watcher> w(new Watcher(*this, uid));
  std::lock_guard lock(mutex_);
  v1::MigrationEvent first;
  if (standing_.migration_uid() == uid) first = standing_;
  first.set_migration_uid(uid);
  first.set_sequence(sequence_);
  w->queue_.push_back(std::move(first));
  watchers_.insert(w.get());
  return w;
}

void Events::begin(const std::string& uid, Kind kind, const std::string& error) {
  std::lock_guard lock(mutex_);
  standing_.Clear();
  standing_.set_migration_uid(uid);
  v1::MigrationEvent event = standing_;
  event.set_kind(kind);
  event.set_error(error);
  push(std::move(event));
}

void Events::publish(const std::string& uid, Kind kind, const std::string& error) {
  std::lock_guard lock(mutex_);
  if (standing_.migration_uid() != uid) return;
  v1::MigrationEvent event = standing_;
  event.set_kind(kind);
  event.set_error(error);
  push(std::move(event));
}

void Events::publish(const std::string& uid, Kind kind, const v1::MigrationSample& sample, const std::string& error) {
  std::lock_guard lock(mutex_);
  if (standing_.migration_uid() != uid) return;
  *standing_.mutable_sample() = sample;
  v1::MigrationEvent event = standing_;
  event.set_kind(kind);
  event.set_error(error);
  push(std::move(event));
}

v1::MigrationEvent Events::standing() const {
  std::lock_guard lock(mutex_);
  return standing_;
}

bool Events::drained() const {
  std::lock_guard lock(mutex_);
  return std::all_of(watchers_.begin(), watchers_.end(), [](const Watcher* w) { return w->queue_.empty() && !w->in_flight_; });
}

void Events::push(v1::MigrationEvent event) {
  event.set_sequence(++sequence_);
  if (moves(standing_.kind(), event.kind())) standing_ = event;
  for (Watcher* w : watchers_) {
    if (w->uid_ != event.migration_uid()) continue;
    auto& q = w->queue_;
    if (q.size() >= kMaxQueue) {
      auto old = std::find_if(q.begin(), q.end(), [](auto& e) { return expendable(e.kind()); });
      if (old != q.end()) q.erase(old);
    }
    q.push_back(event);
  }
  changed_.notify_all();
}

}  // namespace nodevirt::virt_launcher::migration
