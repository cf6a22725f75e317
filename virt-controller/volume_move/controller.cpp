#include "virt-controller/volume_move/controller.hpp"

#include "virt-controller/migration/automatic.hpp"
#include "virt-controller/migration/settings.hpp"
#include "virt-controller/status_patch.hpp"
#include "virt-controller/vm/volumes.hpp"
#include "virt-controller/volume_move/plan.hpp"

namespace nodevirt::virt_controller::volume_move {

namespace {

using runtime::Action;

bool ours(const migration::MigrationObject& m) { return m.meta.annotations.contains(std::string(kWorkloadUpdateAnnotation)); }

}  // namespace

struct VolumeMoveController::Impl {
  Impl(Context& c, migration::Caches& k) : ctx(c), caches(k) {}

  Context& ctx;
  migration::Caches& caches;
  std::shared_ptr<migration::Automatic> automatic = std::make_shared<migration::Automatic>(ctx, caches);
  std::unique_ptr<runtime::Controller> queue;

  Observation look(const KubevirtObject& cached, const Json& object) {
    Observation seen;
    seen.phase = cached.phase;
    seen.deleting = !cached.meta.deletion_timestamp.empty();
    seen.moves = cached.moves_volumes && condition_is(object, "VolumesChange", "True");
    seen.migratable = condition_is(object, "LiveMigratable", "True");
    seen.living_pods = 0;
    for (const auto& pod : ctx.pods.by_index("instance", cached.meta.uid)) seen.living_pods += !pod->ended();
    for (const auto& m : automatic->history(cached.meta.key())) seen.migrating = seen.migrating || !m->final();
    auto failures = automatic->failures(cached.meta.key(), ours);
    seen.failures = failures.count;
    seen.failed_at = failures.last;
    // One that was called off is gone, and not asked for again at once.
    if (!seen.failures && bool_at(object, {"status", "migrationState", "failed"})) {
      seen.failures = 1;
      if (auto at = parse_time(string_at(object, {"status", "migrationState", "endTimestamp"})); at.ok()) seen.failed_at = *at;
    }
    seen.migrating = automatic->awaited(cached.meta.key(), seen.migrating) || seen.migrating;
    seen.allowed = may_migrate(migration::kubevirt_object(caches.kubevirts));
    return seen;
  }

  migration::Automatic::Wanted wanted(KubevirtInformer::Ptr instance, const Json& object) const {
    auto before = automatic->history(instance->meta.key());
    std::string attempt = instance->meta.uid + "/volumes/" + dump_json(vm::migrated_volumes(object)) + "/" + (before.empty() ? "" : before[0]->meta.uid) + "/" +
                          string_at(object, {"status", "migrationState", "migrationUid"});
    return {.instance = instance, .prefix = "kubevirt-workload-update-", .attempt = std::move(attempt), .annotation = {std::string(kWorkloadUpdateAnnotation), ""},
            .priority = "system-maintenance", .why = "volumes of " + instance->meta.key() + " move", .purpose = " to move volumes"};
  }
};

namespace {

template <class Impl>
Awaitable<Result<Action>> reconcile(std::shared_ptr<Impl> self, std::string key) {
  auto instance = self->ctx.instances.get(key);
  if (!instance || !instance->moves_volumes) {
    self->automatic->forget(key);
    co_return Action{};
  }
  Json object = instance->json();
  Plan p = plan(self->look(*instance, object), self->ctx.clock.wall());
  if (p.migrate) {
    auto wanted = self->wanted(instance, object);
    auto made = co_await self->automatic->make(std::move(wanted));
    if (!made.ok()) co_return made.error();
    p.again = migration::kEcho;
  }
  co_return Action{p.again};
}

}  // namespace

VolumeMoveController::VolumeMoveController(Context& context, migration::Caches& caches) : impl_(std::make_shared<Impl>(context, caches)) {
  std::weak_ptr<Impl> weak = impl_;
  runtime::Controller::Reconcile fn = [weak](std::string key) -> Awaitable<Result<Action>> { return reconcile(weak.lock(), std::move(key)); };
  impl_->queue = std::make_unique<runtime::Controller>(context.clock, runtime::Controller::Options{.name = "volume move", .workers = 1}, std::move(fn));
  auto wake = [weak](const std::string& key) {
    auto impl = weak.lock();
    if (!impl) return;
    auto instance = impl->ctx.instances.get(key);
    if (instance && instance->moves_volumes) impl->queue->enqueue(key);
  };
  context.instances.on_change([weak](const KubevirtInformer::Ptr& old, const KubevirtInformer::Ptr& now) {
    auto impl = weak.lock();
    if (impl && ((now && now->moves_volumes) || (old && old->moves_volumes))) impl->queue->enqueue((now ? now : old)->meta.key());
  });
  context.pods.on_change([wake](const PodInformer::Ptr& old, const PodInformer::Ptr& now) {
    const auto& pod = now ? now : old;
    // A pod that is left over from a migration keeps the next one back.
    if (!now || now->ended()) wake(pod->meta.ns + "/" + pod->instance_name);
  });
  caches.migrations.on_change([wake](const migration::MigrationInformer::Ptr& old, const migration::MigrationInformer::Ptr& now) {
    if (!now || !old || old->phase != now->phase) wake((now ? now : old)->instance_key());
  });
  caches.kubevirts.on_change([weak](const auto&, const auto&) {
    auto impl = weak.lock();
    if (!impl) return;
    for (const auto& i : impl->ctx.instances.list())
      if (i->moves_volumes) impl->queue->enqueue(i->meta.key());
  });
}

VolumeMoveController::~VolumeMoveController() = default;

Awaitable<void> VolumeMoveController::run(StopToken stop) {
  auto impl = impl_;
  co_await impl->queue->run(stop);
}

bool VolumeMoveController::idle() const { return impl_->queue->idle(); }

}  // namespace nodevirt::virt_controller::volume_move
