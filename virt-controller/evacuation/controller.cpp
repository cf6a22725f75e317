#include "virt-controller/evacuation/controller.hpp"

#include <algorithm>
#include <unordered_map>

#include "api/names.hpp"
#include "pkg/k8s/status.hpp"
#include "virt-controller/evacuation/plan.hpp"
#include "virt-controller/migration/automatic.hpp"
#include "virt-controller/migration/settings.hpp"
#include "virt-controller/status_patch.hpp"

namespace nodevirt::virt_controller::evacuation {

namespace {

using client::PatchType;
using k8s::resources::kVirtualMachineInstances;
using runtime::Action;

constexpr std::size_t kNamed = 10;

}  // namespace

struct EvacuationController::Impl {
  Impl(Context& c, migration::Caches& k) : ctx(c), caches(k) {}

  Context& ctx;
  migration::Caches& caches;
  std::shared_ptr<migration::Automatic> automatic = std::make_shared<migration::Automatic>(ctx, caches);
  std::unordered_map<std::string, std::vector<Stay>> told;       ///< by node
  std::unique_ptr<runtime::Controller> queue;

  bool is_drained(const std::string& name, const std::string& taint) const {
    auto node = ctx.nodes.get(name);
    if (!node || taint.empty()) return false;
    if (node->unschedulable && taint == "node.kubernetes.io/unschedulable") return true;
    return std::find(node->taints.begin(), node->taints.end(), taint) != node->taints.end();
  }

  Candidate candidate(const KubevirtObject& cached, const Json& object, const std::string& node, const std::string& fallback) {
    Candidate c;
    c.key = cached.meta.key();
    c.uid = cached.meta.uid;
    c.strategy = string_at(object, {"spec", "evictionStrategy"});
    if (c.strategy.empty()) c.strategy = fallback;
    c.phase = cached.phase;
    c.deleting = !cached.meta.deletion_timestamp.empty();
    c.marked = string_at(object, {"status", "evacuationNodeName"}) == node;
    if (const Json* can = find_condition(object, "LiveMigratable")) {
      c.migratable = string_at(*can, {"status"}) == "True";
      c.obstacle = string_at(*can, {"message"}, string_at(*can, {"reason"}));
    }
    c.living_pods = 0;
    for (const auto& pod : ctx.pods.by_index("instance", c.uid)) {
      if (pod->ended()) continue;
      ++c.living_pods;
      if (pod->node == node) c.priority = std::max(c.priority, pod->priority);
    }
    for (const auto& m : automatic->history(c.key)) {
      c.migrating = c.migrating || !m->final();
      c.evacuating = c.evacuating || (!m->final() && m->evacuates() == node);
    }
    auto failures = automatic->failures(c.key, [&](const migration::MigrationObject& m) { return m.evacuates() == node; });
    c.failures = failures.count;
    c.failed_at = failures.last;
    if (automatic->awaited(c.key, c.migrating)) c.migrating = c.evacuating = true;
    return c;
  }

  void tell_who_stays(const std::string& node, const Plan& p) {
    auto& before = told[node];
    if (p.stays == before || (p.moving > 0 && p.stays.empty())) return;
    before = p.stays;
    if (p.stays.empty()) return;
    std::string text = std::to_string(p.stays.size()) + " virtual machine instance(s) stay on the node:";
    for (std::size_t i = 0; i < p.stays.size(); ++i) {
      if (i < kNamed) text += (i ? "; " : " ") + p.stays[i].key + ": " + p.stays[i].why;
      if (auto instance = ctx.instances.get(p.stays[i].key))
        ctx.events.event(reference_to(instance->json()), "Warning", "EvacuationBlocked", "it stays on node " + node + ", which is to be empty: " + p.stays[i].why);
    }
    if (p.stays.size() > kNamed) text += "; and more";
    if (auto object = ctx.nodes.get(node)) ctx.events.event({"v1", "Node", "", node, object->meta.uid, ""}, "Warning", "EvacuationIncomplete", text);
  }

  migration::Automatic::Wanted wanted(KubevirtInformer::Ptr instance, const std::string& node) const {
    auto before = automatic->history(instance->meta.key());
    auto source = instance->meta.annotations.find("kubevirt.io/eviction-source");
    bool gentle = source != instance->meta.annotations.end() && source->second == "descheduler";
    return {.instance = instance, .prefix = "kubevirt-evacuation-", .attempt = instance->meta.uid + "/" + node + "/" + (before.empty() ? "" : before[0]->meta.uid),
            .annotation = {std::string(api::kEvacuationAnnotation), node}, .priority = gentle ? "system-maintenance" : "system-critical",
            .why = "node " + node + " is evacuated", .purpose = ""};
  }
};

namespace {

template <class Impl>
Awaitable<Result<void>> unmark(std::shared_ptr<Impl> self, KubevirtInformer::Ptr instance, Json object) {
  Json patch = Json::array();
  patch.push_back(uid_test(object));
  patch.push_back(Json{{"op", "test"}, {"path", "/status/nodeName"}, {"value", instance->node}});
  patch.push_back(Json{{"op", "test"}, {"path", "/status/evacuationNodeName"}, {"value", string_at(object, {"status", "evacuationNodeName"})}});
  patch.push_back(Json{{"op", "remove"}, {"path", "/status/evacuationNodeName"}});
  std::string ns = instance->meta.ns, name = instance->meta.name;
  auto done = co_await self->ctx.client.patch(kVirtualMachineInstances, ns, name, PatchType::Json, patch);
  bool passed = done.ok() || k8s::is_not_found(done.error()) || k8s::is_failed_test(done.error()) || k8s::is_conflict(done.error());
  if (!passed) co_return done.error().with_context("unmark instance " + instance->meta.key());
  co_return Result<void>();
}

template <class Impl>
Awaitable<Result<Action>> reconcile(std::shared_ptr<Impl> self, std::string node) {
  Json kubevirt = migration::kubevirt_object(self->caches.kubevirts);
  auto config = api::cluster_migration_config(kubevirt);
  std::string fallback = migration::default_eviction_strategy(kubevirt);
  bool drained = self->is_drained(node, config.node_drain_taint_key);
  std::vector<Candidate> candidates;
  auto here = self->ctx.instances.by_index("node", node);
  for (const auto& instance : here) {
    Json object = instance->json();
    std::string marked = string_at(object, {"status", "evacuationNodeName"});
    if (!marked.empty() && marked != node && !node.empty()) {
      auto done = co_await unmark(self, instance, object);
      if (!done.ok()) co_return done.error();
    }
    if (drained || marked == node) candidates.push_back(self->candidate(*instance, object, node, fallback));
  }
  if (candidates.empty()) {
    self->told.erase(node);
    co_return Action{};
  }
  Plan p = plan(std::move(candidates), drained, config.parallel_outbound_migrations_per_node, self->ctx.clock.wall());
  std::optional<Error> failed;
  for (const auto& key : p.migrate) {
    auto instance = self->ctx.instances.get(key);
    if (!instance) continue;
    auto wanted = self->wanted(instance, node);
    auto made = co_await self->automatic->make(std::move(wanted));
    if (!made.ok() && !failed) failed = made.error();
  }
  self->tell_who_stays(node, p);
  if (failed) co_return *failed;
  co_return Action{p.again};
}

}  // namespace

EvacuationController::EvacuationController(Context& context, migration::Caches& caches) : impl_(std::make_shared<Impl>(context, caches)) {
  std::weak_ptr<Impl> weak = impl_;
  runtime::Controller::Reconcile fn = [weak](std::string key) -> Awaitable<Result<Action>> { return reconcile(weak.lock(), std::move(key)); };
  impl_->queue = std::make_unique<runtime::Controller>(context.clock, runtime::Controller::Options{.name = "evacuation", .workers = 1}, std::move(fn));
  auto wake = [weak](const std::string& node) {
    if (auto impl = weak.lock(); impl && !node.empty()) impl->queue->enqueue(node);
  };
  context.nodes.on_change([wake](const NodeInformer::Ptr& old, const NodeInformer::Ptr& now) {
    if (old && now && old->taints == now->taints && old->unschedulable == now->unschedulable) return;
    wake((now ? now : old)->meta.name);
  });
  context.instances.on_change([wake](const KubevirtInformer::Ptr&, const KubevirtInformer::Ptr& now) {
    if (now) wake(now->node);
  });
  context.pods.on_change([wake](const PodInformer::Ptr& old, const PodInformer::Ptr& now) {
    // A pod that is left over from a migration keeps the next one back.
    if (!now || now->ended()) wake((now ? now : old)->node);
  });
  caches.migrations.on_change([weak, wake](const migration::MigrationInformer::Ptr& old, const migration::MigrationInformer::Ptr& now) {
    auto impl = weak.lock();
    const auto& m = now ? now : old;
    if (!impl || (old && now && old->phase == now->phase)) return;
    wake(m->evacuates());
    if (auto instance = impl->ctx.instances.get(m->instance_key())) wake(instance->node);
  });
  caches.kubevirts.on_change([weak, wake](const auto&, const auto&) {
    auto impl = weak.lock();
    if (!impl) return;
    for (const auto& n : impl->ctx.nodes.list()) wake(n->meta.name);
  });
}

EvacuationController::~EvacuationController() = default;

Awaitable<void> EvacuationController::run(StopToken stop) {
  auto impl = impl_;
  co_await impl->queue->run(stop);
}

bool EvacuationController::idle() const { return impl_->queue->idle(); }

}  // namespace nodevirt::virt_controller::evacuation
