#include "standalone/controllers/namespaces.hpp"

#include <fmt/format.h>

#include "standalone/apiserver/crd/definition.hpp"
#include "standalone/apiserver/objects.hpp"

namespace nodevirt::controllers {

namespace {
bool terminating(const apiserver::StoredObject& o) {
  auto it = o.index.fields.find("status.phase");
  return it != o.index.fields.end() && it->second == "Terminating";
}
}  // namespace

void NamespaceEnds::resync() {
  ending_.clear();
  each_object(s_, "namespaces", "", [this](const StoredPtr& o) {
    if (!terminating(*o)) return;
    ending_.insert(o->name);
    enqueue(o->name);
  });
}

void NamespaceEnds::on_event(const Event& event) {
  if (event.resource == "namespaces") {
    const auto& name = event.object->name;
    if (event.type == EventType::Deleted || !terminating(*event.object)) ending_.erase(name);
    else if (ending_.insert(name).second) enqueue(name);
    return;
  }
  if (event.type == EventType::Deleted && ending_.contains(event.object->ns)) enqueue(event.object->ns);
}

Awaitable<Result<void>> NamespaceEnds::reconcile(std::string ns) {
  auto stored = s_.store->get("namespaces", "", ns);
  if (!stored || !terminating(*stored)) co_return Result<void>();
  std::size_t left = 0;
  std::optional<Error> failure;
  auto kinds = s_.registry.all();
  std::string what;
  for (const auto& r : kinds) {
    if (!r->namespaced || r->virtual_kind || r->from_stored) continue;
    std::vector<std::string> names;
    each_object(s_, r->id, ns, [&names](const StoredPtr& o) { names.push_back(o->name); });
    for (const auto& name : names) {
      apiserver::WriteContext c;
      c.resource = r;
      c.version = r->storage().name;
      c.ns = ns;
      c.name = name;
      c.user = controller_user("namespace-controller");
      apiserver::Deletion d;
      d.propagation = "";
      auto deleted = co_await s_.objects->remove(c, std::move(d));
      if (deleted.ok() && deleted->gone) continue;
      if (!deleted.ok() && deleted.error().reason == "NotFound") continue;
      ++left;
      what = fmt::format("{} {}", r->plural, name);
      if (!deleted.ok()) failure = deleted.error();
    }
  }
  auto resource = s_.registry.by_id("namespaces");
  auto now = s_.clock().wall();
  std::function<Result<bool>(Json&)> change = [left, what, now](Json& o) -> Result<bool> {
    if (left > 0) {
      return apiserver::set_condition(o, "NamespaceContentRemaining", "True", "SomeResourcesRemain",
                                      fmt::format("Some resources are remaining: {} objects, among them {}", left, what), now);
    }
    auto it = o["spec"].find("finalizers");
    if (it == o["spec"].end() || !it->is_array()) return false;
    auto before = it->size();
    for (std::size_t i = it->size(); i-- > 0;) if ((*it)[i] == "kubernetes") it->erase(i);
    return it->size() != before;
  };
  auto done = co_await s_.objects->modify(resource, "", ns, std::move(change));
  if (!done.ok() && done.error().reason != "NotFound") co_return Error(done.error());
  if (failure) co_return Error(*failure);
  if (left > 0) enqueue_after(ns, std::chrono::seconds(5));
  co_return Result<void>();
}

void NamespaceStarts::resync() {
  each_object(s_, "namespaces", "", [this](const StoredPtr& o) { enqueue(o->name); });
}

void NamespaceStarts::on_event(const Event& event) {
  if (event.resource == "namespaces" && event.type == EventType::Added) enqueue(event.object->name);
  if (event.type != EventType::Deleted) return;
  if ((event.resource == "serviceaccounts" && event.object->name == "default") ||
      (event.resource == "configmaps" && event.object->name == "kube-root-ca.crt"))
    enqueue(event.object->ns);
}

Awaitable<Result<void>> NamespaceStarts::reconcile(std::string ns) {
  auto stored = s_.store->get("namespaces", "", ns);
  if (!stored || terminating(*stored)) co_return Result<void>();
  std::vector<std::pair<std::string, Json>> wanted;
  if (!s_.store->get("serviceaccounts", ns, "default"))
    wanted.emplace_back("serviceaccounts", Json{{"apiVersion", "v1"}, {"kind", "ServiceAccount"}, {"metadata", {{"name", "default"}}}});
  if (!s_.options.client_ca_pem.empty() && !s_.store->get("configmaps", ns, "kube-root-ca.crt"))
    wanted.emplace_back("configmaps", Json{{"apiVersion", "v1"}, {"kind", "ConfigMap"}, {"metadata", {{"name", "kube-root-ca.crt"}}},
                                           {"data", {{"ca.crt", s_.options.client_ca_pem}}}});
  for (auto& [id, object] : wanted) {
    apiserver::WriteContext c;
    c.resource = s_.registry.by_id(id);
    c.version = "v1";
    c.ns = ns;
    c.manager = "kube-controller-manager";
    c.user = controller_user("service-account-controller");
    auto made = co_await s_.objects->create(c, std::move(object));
    if (!made.ok() && made.error().reason != "AlreadyExists" && made.error().reason != "NotFound" && made.error().reason != "Forbidden")
      co_return Error(made.error());
  }
  co_return Result<void>();
}

}  // namespace nodevirt::controllers
