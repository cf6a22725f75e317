#include "standalone/controllers/event_age.hpp"

#include "standalone/apiserver/objects.hpp"

namespace nodevirt::controllers {

namespace {
constexpr auto kAge = std::chrono::hours(1);
}

void EventAge::resync() {
  // When they were last changed is not known after a restart: they get their hour again.
  auto now = std::chrono::steady_clock::now();
  each_object(s_, "events", "", [&](const StoredPtr& o) {
    touched_.emplace(o->key(), now);
    enqueue_after(o->key(), kAge);
  });
}

void EventAge::on_event(const Event& event) {
  auto key = event.object->key();
  if (event.type == EventType::Deleted) { touched_.erase(key); return; }
  touched_[key] = std::chrono::steady_clock::now();
  enqueue_after(key, kAge);
}

Awaitable<Result<void>> EventAge::reconcile(std::string key) {
  auto it = touched_.find(key);
  if (it == touched_.end()) co_return Result<void>();
  auto age = std::chrono::steady_clock::now() - it->second;
  if (age < kAge) {
    enqueue_after(key, std::chrono::duration_cast<std::chrono::milliseconds>(kAge - age) + std::chrono::seconds(1));
    co_return Result<void>();
  }
  auto slash = key.find('/');
  apiserver::WriteContext c;
  c.resource = s_.registry.find("", "events");
  c.version = "v1";
  c.ns = key.substr(0, slash);
  c.name = key.substr(slash + 1);
  c.user = controller_user("event-age");
  apiserver::Deletion d;
  auto deleted = co_await s_.objects->remove(c, std::move(d));
  if (!deleted.ok() && deleted.error().reason != "NotFound") co_return Error(deleted.error());
  co_return Result<void>();
}

}  // namespace nodevirt::controllers
