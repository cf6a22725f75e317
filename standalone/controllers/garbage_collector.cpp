#include "standalone/controllers/garbage_collector.hpp"

#include <algorithm>

#include "standalone/apiserver/objects.hpp"

namespace nodevirt::controllers {

void GarbageCollector::resync() {
  nodes_.clear();
  dependents_.clear();
  for (const auto& r : s_.registry.all()) {
    if (r->virtual_kind || r->from_stored) continue;
    each_object(s_, r->id, "", [&](const StoredPtr& o) { put(r->id, o); });
  }
  for (const auto& [uid, node] : nodes_)
    if (!node.owners.empty() || node.orphan || node.foreground) enqueue(uid);
}

void GarbageCollector::put(const std::string& resource, const StoredPtr& object) {
  const auto& uid = object->index.uid;
  if (uid.empty()) return;
  Node node{resource, object->ns, object->name, {}, false, false, false};
  if (object->index.summary.size() < (64u << 10) && !object->index.summary.empty() && resource != "customresourcedefinitions.apiextensions.k8s.io") {
    auto summary = parse_json(object->index.summary);
    if (summary.ok()) {
      node.deleting = bool_at(*summary, {"deleting"});
      node.orphan = bool_at(*summary, {"orphan"});
      node.foreground = bool_at(*summary, {"foregroundDeletion"});
      if (const Json* owners = find(*summary, {"owners"}); owners && owners->is_array())
        for (const auto& o : *owners)
          node.owners.push_back({string_at(o, {"uid"}), string_at(o, {"api"}), string_at(o, {"kind"}), bool_at(o, {"block"})});
    }
  }
  if (auto it = nodes_.find(uid); it != nodes_.end()) unlink(uid, it->second);
  for (const auto& o : node.owners) dependents_[o.uid].insert(uid);
  nodes_[uid] = std::move(node);
}

void GarbageCollector::unlink(const std::string& uid, const Node& node) {
  for (const auto& o : node.owners) {
    auto it = dependents_.find(o.uid);
    if (it == dependents_.end()) continue;
    it->second.erase(uid);
    if (it->second.empty()) dependents_.erase(it);
  }
}

void GarbageCollector::drop(const std::string& uid) {
  auto it = nodes_.find(uid);
  if (it == nodes_.end()) return;
  unlink(uid, it->second);
  nodes_.erase(it);
}

std::vector<std::string> GarbageCollector::dependents(const std::string& uid) const {
  auto it = dependents_.find(uid);
  return it == dependents_.end() ? std::vector<std::string>() : std::vector<std::string>(it->second.begin(), it->second.end());
}

void GarbageCollector::on_event(const Event& event) {
  const auto& uid = event.object->index.uid;
  if (event.type == EventType::Deleted) {
    auto it = nodes_.find(uid);
    std::vector<Owner> owners;
    if (it != nodes_.end()) owners = it->second.owners;
    drop(uid);
    for (const auto& d : dependents(uid)) enqueue(d);
    for (const auto& o : owners)   // one that waits in the foreground may be done now
      if (auto owner = nodes_.find(o.uid); owner != nodes_.end() && owner->second.deleting && owner->second.foreground) enqueue(o.uid);
    return;
  }
  put(event.resource, event.object);
  const auto& node = nodes_[uid];
  if (!node.owners.empty() || (node.deleting && (node.orphan || node.foreground))) enqueue(uid);
}

bool GarbageCollector::exists(const Owner& owner, const Node& dependent) const {
  auto it = nodes_.find(owner.uid);
  // An owner in another namespace is none; a cluster-wide dependent of a namespaced owner is left alone.
  if (it != nodes_.end()) return it->second.ns.empty() || dependent.ns.empty() || it->second.ns == dependent.ns;
  auto slash = owner.api.find('/');
  auto group = slash == std::string::npos ? "" : owner.api.substr(0, slash);
  // Of a kind that this server does not hold nothing is known, so nothing is deleted.
  auto resource = s_.registry.find_kind(group, owner.kind);
  if (!resource) return true;
  return dependent.ns.empty() && resource->namespaced;
}

Awaitable<Result<void>> GarbageCollector::reconcile(std::string uid) {
  auto it = nodes_.find(uid);
  if (it == nodes_.end()) co_return Result<void>();
  Node node = it->second;
  if (node.deleting && node.orphan) co_return co_await orphan(uid, std::move(node));
  if (node.deleting && node.foreground) {
    auto done = co_await finish_foreground(uid, node);
    if (!done.ok()) co_return done;
  }
  if (!node.owners.empty() && !node.deleting) co_return co_await collect(uid, std::move(node));
  co_return Result<void>();
}

Awaitable<Result<void>> GarbageCollector::collect(std::string uid, Node node) {
  std::vector<std::string> absent, waiting;
  bool solid = false;
  for (const auto& o : node.owners) {
    if (!exists(o, node)) { absent.push_back(o.uid); continue; }
    auto it = nodes_.find(o.uid);
    if (it != nodes_.end() && it->second.deleting && it->second.foreground) waiting.push_back(o.uid);
    else solid = true;
  }
  if (solid) {
    absent.insert(absent.end(), waiting.begin(), waiting.end());
    if (absent.empty()) co_return Result<void>();
    co_return co_await remove_owners(std::move(node), uid, std::move(absent));
  }
  auto resource = s_.registry.by_id(node.resource);
  if (!resource) co_return Result<void>();
  apiserver::WriteContext c;
  c.resource = resource;
  c.version = resource->storage().name;
  c.ns = node.ns;
  c.name = node.name;
  c.user = controller_user("generic-garbage-collector");
  apiserver::Deletion d;
  d.uid = uid;
  bool has_dependents = !dependents(uid).empty();
  d.propagation = !waiting.empty() && has_dependents ? "Foreground" : node.orphan ? "Orphan" : node.foreground ? "Foreground" : "Background";
  auto deleted = co_await s_.objects->remove(c, std::move(d));
  if (!deleted.ok() && deleted.error().reason != "NotFound" && deleted.error().reason != "Conflict") co_return Error(deleted.error());
  co_return Result<void>();
}

Awaitable<Result<void>> GarbageCollector::finish_foreground(std::string uid, Node node) {
  bool blocked = false;
  for (const auto& d : dependents(uid)) {
    auto it = nodes_.find(d);
    if (it == nodes_.end()) continue;
    enqueue(d);
    for (const auto& o : it->second.owners) blocked |= o.uid == uid && o.block;
  }
  if (blocked) co_return Result<void>();
  co_return co_await remove_finalizer(std::move(node), uid, "foregroundDeletion");
}

Awaitable<Result<void>> GarbageCollector::orphan(std::string uid, Node node) {
  auto list = dependents(uid);
  for (const auto& d : list) {
    auto it = nodes_.find(d);
    if (it == nodes_.end()) continue;
    Node dependent = it->second;
    std::vector<std::string> only{uid};
    auto done = co_await remove_owners(std::move(dependent), d, std::move(only));
    if (!done.ok()) co_return done;
  }
  co_return co_await remove_finalizer(std::move(node), uid, "orphan");
}

Awaitable<Result<void>> GarbageCollector::remove_owners(Node node, std::string uid, std::vector<std::string> owners) {
  auto resource = s_.registry.by_id(node.resource);
  if (!resource) co_return Result<void>();
  std::function<Result<bool>(Json&)> change = [uid, owners](Json& o) -> Result<bool> {
    if (string_at(o, {"metadata", "uid"}) != uid) return false;
    auto it = o["metadata"].find("ownerReferences");
    if (it == o["metadata"].end() || !it->is_array()) return false;
    Json kept = Json::array();
    for (auto& ref : *it)
      if (std::find(owners.begin(), owners.end(), string_at(ref, {"uid"})) == owners.end()) kept.push_back(ref);
    if (kept.size() == it->size()) return false;
    if (kept.empty()) o["metadata"].erase("ownerReferences");
    else *it = std::move(kept);
    return true;
  };
  auto done = co_await s_.objects->modify(resource, node.ns, node.name, std::move(change));
  if (!done.ok() && done.error().reason != "NotFound") co_return Error(done.error());
  co_return Result<void>();
}

Awaitable<Result<void>> GarbageCollector::remove_finalizer(Node node, std::string uid, std::string finalizer) {
  auto resource = s_.registry.by_id(node.resource);
  if (!resource) co_return Result<void>();
  std::function<Result<bool>(Json&)> change = [uid, finalizer](Json& o) -> Result<bool> {
    if (string_at(o, {"metadata", "uid"}) != uid) return false;
    auto it = o["metadata"].find("finalizers");
    if (it == o["metadata"].end() || !it->is_array()) return false;
    auto before = it->size();
    for (std::size_t i = it->size(); i-- > 0;) if ((*it)[i] == finalizer) it->erase(i);
    if (it->size() == before) return false;
    if (it->empty()) o["metadata"].erase("finalizers");
    return true;
  };
  auto done = co_await s_.objects->modify(resource, node.ns, node.name, std::move(change));
  if (!done.ok() && done.error().reason != "NotFound") co_return Error(done.error());
  co_return Result<void>();
}

}  // namespace nodevirt::controllers
