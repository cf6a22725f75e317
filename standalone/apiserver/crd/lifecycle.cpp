#include "standalone/apiserver/crd/lifecycle.hpp"

#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "pkg/base/log.hpp"
#include "standalone/apiserver/crd/definition.hpp"
#include "standalone/apiserver/objects.hpp"
#include "standalone/apiserver/server_state.hpp"

namespace nodevirt::apiserver {

namespace asio = boost::asio;

void register_definition(ServerState& s, const std::string& name) {
  auto stored = s.store->get(kDefinitions, "", name);
  if (!stored) { s.registry.remove_custom(name); return; }
  auto summary = parse_json(stored->index.summary);
  if (!summary.ok()) { log::error("definition {}: {}", name, summary.error().message); return; }
  s.registry.put_custom(custom_resource(*summary, stored->revision));
}

void register_stored_definitions(ServerState& s) {
  s.store->list(kDefinitions, "", "", [&s](const StoredPtr& o) { register_definition(s, o->name); return true; });
  // Woken inside the commit: whoever sees a definition as written can use what it serves.
  s.definitions = s.store->history().follow(kDefinitions, nullptr);
  s.definitions->wake = [&s] {
    while (!s.definitions->queue.empty()) {
      auto event = s.definitions->queue.front();
      s.definitions->queue.pop_front();
      register_definition(s, event->object->name);
    }
  };
}

namespace {

/// False while objects are left (they may wait for finalizers).
Awaitable<bool> delete_objects(ServerState& s, ResourcePtr resource) {
  std::vector<StoredPtr> items;
  s.store->list(resource->id, "", "", [&items](const StoredPtr& o) { items.push_back(o); return true; });
  for (const auto& item : items) {
    WriteContext c;
    c.resource = resource;
    c.version = resource->storage().name;
    c.ns = item->ns;
    c.name = item->name;
    c.user = {"system:apiserver", "", {"system:masters"}, {}};
    Deletion d;
    auto deleted = co_await s.objects->remove(c, std::move(d));
    (void)deleted;
  }
  co_return s.store->count(resource->id) == 0;
}

Awaitable<void> clean(ServerState& s, std::string name) {
  auto resource = s.registry.custom(name);
  if (!resource || !resource->terminating) co_return;
  bool empty = co_await delete_objects(s, resource);
  auto definitions = s.registry.by_id(kDefinitions);
  auto now = s.clock().wall();
  std::function<Result<bool>(Json&)> change = [empty, now](Json& o) -> Result<bool> {
    bool changed = set_condition(o, "Terminating", empty ? "False" : "True", empty ? "InstanceDeletionCompleted" : "InstanceDeletionInProgress",
                                 empty ? "removed all instances" : "CustomResource deletion is in progress", now);
    if (empty) {
      auto& f = o["metadata"]["finalizers"];
      if (f.is_array())
        for (std::size_t i = f.size(); i-- > 0;) if (f[i] == kCleanupFinalizer) { f.erase(i); changed = true; }
    }
    return changed;
  };
  auto done = co_await s.objects->modify(definitions, "", name, std::move(change));
  if (!done.ok() && done.error().reason != "NotFound") log::warning("definition {}: {}", name, done.error().message);
}

Awaitable<void> give_names(ServerState& s) {
  auto definitions = s.registry.by_id(kDefinitions);
  std::vector<std::string> waiting;
  s.store->list(kDefinitions, "", "", [&waiting](const StoredPtr& o) {
    if (o->index.summary.find("\"NoConflicts\"") == std::string::npos) waiting.push_back(o->name);
    return true;
  });
  for (const auto& name : waiting) {
    std::function<Result<bool>(Json&)> change = [&s](Json& o) -> Result<bool> { return settle_names(*s.store, o, s.clock().wall()); };
    auto done = co_await s.objects->modify(definitions, "", name, std::move(change));
    (void)done;
  }
}

}  // namespace

Awaitable<void> run_definitions(ServerState& s, StopToken stop) {
  auto all = s.store->history().follow("", nullptr);
  asio::steady_timer timer(s.executor);
  all->wake = [&timer] { timer.cancel(); };
  std::stop_callback on_stop(stop, [&timer] { timer.cancel(); });
  std::set<std::string> terminating;
  for (const auto& r : s.registry.customs()) if (r->terminating) terminating.insert(r->crd);
  while (!stop.stop_requested()) {
    bool freed = false;
    std::set<std::string> check;
    while (!all->queue.empty()) {
      auto event = all->queue.front();
      all->queue.pop_front();
      if (event->resource == kDefinitions) {
        auto r = s.registry.custom(event->object->name);
        if (r && r->terminating) { terminating.insert(event->object->name); check.insert(event->object->name); }
        else terminating.erase(event->object->name);
        if (event->type == EventType::Deleted) freed = true;
      } else if (event->type == EventType::Deleted && terminating.contains(event->resource)) {
        check.insert(event->resource);
      }
    }
    if (all->lagging) {
      all = s.store->history().follow("", nullptr);
      all->wake = [&timer] { timer.cancel(); };
      check = terminating;
      freed = true;
    }
    for (const auto& name : check) co_await clean(s, name);
    if (freed) co_await give_names(s);
    if (!all->queue.empty()) continue;
    // Objects that wait for finalizers are looked at again now and then, should an event have been missed.
    timer.expires_after(terminating.empty() ? std::chrono::hours(1) : std::chrono::seconds(10));
    boost::system::error_code ignored;
    co_await timer.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
    if (all->queue.empty() && !terminating.empty() && !stop.stop_requested()) {
      auto again = terminating;
      for (const auto& name : again) co_await clean(s, name);
    }
  }
}

}  // namespace nodevirt::apiserver
