#include "virt-controller/volume_move/controller.hpp"

#include <algorithm>
#include <unordered_map>

#include "api/names.hpp"
#include "pkg/base/log.hpp"
#include "pkg/k8s/status.hpp"
#include "virt-controller/migration/settings.hpp"
#include "virt-controller/status_patch.hpp"
#include "virt-controller/vm/volumes.hpp"
#include "virt-controller/vmi/pod.hpp"
#include "virt-controller/volume_move/plan.hpp"

namespace nodevirt::virt_controller::volume_move {

namespace {

using k8s::resources::kVirtualMachineInstanceMigrations;
using runtime::Action;

constexpr auto kEcho = std::chrono::seconds(10);

bool ours(const migration::MigrationObject& m) { return m.meta.annotations.contains(std::string(kWorkloadUpdateAnnotation)); }

}  // namespace

struct VolumeMoveController::Impl {
  Impl(Context& c, migration::Caches& k) : ctx(c), caches(k) {}

  Context& ctx;
  migration::Caches& caches;
  std::unordered_map<std::string, Clock::Time> created;   ///< by instance key: our migrations that the watch has not shown
  std::unique_ptr<runtime::Controller> queue;

  std::vector<migration::MigrationInformer::Ptr> history(const std::string& key) const {
    auto all = caches.migrations.by_index("instance", key);
    std::sort(all.begin(), all.end(), [](const auto& a, const auto& b) { return std::tie(b->created, b->meta.uid) < std::tie(a->created, a->meta.uid); });
    return all;
  }

  Observation look(const KubevirtObject& cached, const Json& object) {
    Observation seen;
    seen.phase = cached.phase;
    seen.deleting = !cached.meta.deletion_timestamp.empty();
    seen.moves = cached.moves_volumes && condition_is(object, "VolumesChange", "True");
    seen.migratable = condition_is(object, "LiveMigratable", "True");
    seen.living_pods = 0;
    for (const auto& pod : ctx.pods.by_index("instance", cached.meta.uid)) seen.living_pods += !pod->ended();
    bool counting = true;
    for (const auto& m : history(cached.meta.key())) {
      seen.migrating = seen.migrating || !m->final();
      if (!m->final()) continue;
      counting = counting && m->phase == "Failed" && ours(*m);
      if (!counting) continue;
      ++seen.failures;
      if (auto at = parse_time(m->ended); !seen.failed_at && at.ok()) seen.failed_at = *at;
    }
    // One that was called off is gone, and not asked for again at once.
    if (!seen.failures && bool_at(object, {"status", "migrationState", "failed"})) {
      seen.failures = 1;
      if (auto at = parse_time(string_at(object, {"status", "migrationState", "endTimestamp"})); at.ok()) seen.failed_at = *at;
    }
    auto it = created.find(cached.meta.key());
    if (it != created.end() && (seen.migrating || ctx.clock.now() >= it->second)) created.erase(it);
    seen.migrating = seen.migrating || created.contains(cached.meta.key());
    seen.allowed = may_migrate(migration::kubevirt_object(caches.kubevirts));
    return seen;
  }

  // The same attempt has the same name, so that one that was made twice is one.
  Json build(const KubevirtObject& instance, const Json& object) const {
    auto before = history(instance.meta.key());
    std::string salt = instance.meta.uid + "/volumes/" + dump_json(vm::migrated_volumes(object)) + "/" + (before.empty() ? "" : before[0]->meta.uid) + "/" +
                       string_at(object, {"status", "migrationState", "migrationUid"});
    std::string name = vmi::pod_name("", salt);
    name = "kubevirt-workload-update-" + instance.meta.name.substr(0, 180) + "-" + name.substr(name.rfind('-') + 1);
    Json metadata = {{"name", name}, {"namespace", instance.meta.ns}, {"annotations", {{std::string(kWorkloadUpdateAnnotation), ""}}},
                     {"labels", {{std::string(api::kMigrationSelectorLabel), vmi::label_value(instance.meta.name)}}}};
    return {{"apiVersion", "kubevirt.io/v1"}, {"kind", "VirtualMachineInstanceMigration"}, {"metadata", std::move(metadata)},
            {"spec", {{"vmiName", instance.meta.name}, {"priority", "system-maintenance"}}}};
  }
};

namespace {

template <class Impl>
Awaitable<Result<void>> create_migration(std::shared_ptr<Impl> self, KubevirtInformer::Ptr instance, Json object) {
  Json migration = self->build(*instance, object);
  std::string key = instance->meta.key(), ns = instance->meta.ns, name = string_at(migration, {"metadata", "name"});
  auto about = reference_to(object);
  self->created[key] = self->ctx.clock.now() + kEcho;
  auto made = co_await self->ctx.client.create(kVirtualMachineInstanceMigrations, ns, std::move(migration));
  if (!made.ok() && k8s::is_already_exists(made.error())) co_return Result<void>();
  if (!made.ok()) {
    self->created.erase(key);
    self->ctx.events.event(about, "Warning", "FailedCreate", "Error creating a Migration: " + made.error().message);
    co_return made.error().with_context("create a migration of " + key);
  }
  log::info("volumes of {} move: migration {}", key, name);
  self->ctx.events.event(about, "Normal", "SuccessfulCreate", "Created Migration " + name + " to move volumes");
  co_return Result<void>();
}

template <class Impl>
Awaitable<Result<Action>> reconcile(std::shared_ptr<Impl> self, std::string key) {
  auto instance = self->ctx.instances.get(key);
  if (!instance || !instance->moves_volumes) {
    self->created.erase(key);
    co_return Action{};
  }
  Json object = instance->json();
  Plan p = plan(self->look(*instance, object), self->ctx.clock.wall());
  if (p.migrate) {
    auto made = co_await create_migration(self, instance, std::move(object));
    if (!made.ok()) co_return made.error();
    p.again = kEcho;
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
