#include "virt-controller/migration/controller.hpp"

#include <algorithm>
#include <unordered_map>
#include <unordered_set>

#include "api/names.hpp"
#include "pkg/base/failpoint.hpp"
#include "pkg/base/log.hpp"
#include "pkg/k8s/status.hpp"
#include "virt-controller/migration/progress.hpp"
#include "virt-controller/migration/queue.hpp"
#include "virt-controller/migration/settings.hpp"
#include "virt-controller/migration/status.hpp"
#include "virt-controller/migration/target_pod.hpp"
#include "virt-controller/status_patch.hpp"

namespace nodevirt::virt_controller::migration {

namespace {

using client::PatchType;
using k8s::resources::kPods;
using k8s::resources::kVirtualMachineInstanceMigrations;
using k8s::resources::kVirtualMachineInstances;
using runtime::Action;

NV_DECLARE_FAILPOINT(kBeforeTarget, "virt-controller.migration-before-target-pod");
NV_DECLARE_FAILPOINT(kAfterTarget, "virt-controller.migration-after-target-pod");
NV_DECLARE_FAILPOINT(kBeforeHandOver, "virt-controller.migration-before-hand-over");
NV_DECLARE_FAILPOINT(kAfterHandOver, "virt-controller.migration-after-hand-over");
NV_DECLARE_FAILPOINT(kBeforeStatus, "virt-controller.migration-before-status");
NV_DECLARE_FAILPOINT(kAfterStatus, "virt-controller.migration-after-status");
NV_DECLARE_FAILPOINT(kBeforeSource, "virt-controller.migration-before-source-pod-deleted");
NV_DECLARE_FAILPOINT(kBeforeRelease, "virt-controller.migration-before-release");

constexpr std::size_t kToldOfTheirPlace = 50;
constexpr auto kQuotaRetry = std::chrono::seconds(5);
// Keys of migrations have no colon.
constexpr std::string_view kPodKey = "pod:";

// Not an instance's own doing, and gone when somebody makes room.
bool quota_refusal(const Error& e) { return k8s::is_reason(e, "Forbidden") && e.message.find("exceeded quota") != std::string::npos; }

Clock::Duration limit_of(const Json& object, std::string_view annotation, Clock::Duration fallback) {
  std::string text = string_at(object, {"metadata", "annotations", annotation});
  if (text.empty() || text.size() > 9 || text.find_first_not_of("0123456789") != std::string::npos) return fallback;
  return std::chrono::seconds(std::stoll(text));
}

}  // namespace

struct MigrationController::Impl {
  Impl(Context& c, Caches& k) : ctx(c), caches(k) {}

  Context& ctx;
  Caches& caches;
  std::unordered_map<std::string, Clock::Time> made;     ///< by migration uid: target pods not yet shown by the watch
  std::unordered_set<std::string> begun;                 ///< uids that the queue let in; the cache may still call them Pending
  std::unique_ptr<runtime::Controller> queue;

  struct Round {
    std::string key, ns, name, uid;
    MigrationInformer::Ptr cached;
    Json object;
    std::optional<Json> instance;
    Observation seen;
    Plan plan;
    std::string waits, quota;
    bool done = true;
  };

  QueueLimits limits() const {
    api::MigrationConfig config = api::cluster_migration_config(kubevirt_object(caches.kubevirts));
    return {config.parallel_migrations_per_cluster, config.parallel_outbound_migrations_per_node};
  }

  /// A target pod whose migration is no more, and which is neither the instance's own nor may become so.
  PodInformer::Ptr orphan(const std::string& pod_key) const {
    auto pod = ctx.pods.get(pod_key);
    if (!pod || pod->migration_uid.empty() || pod->deleting() || !caches.migrations.by_index("uid", pod->migration_uid).empty()) return nullptr;
    auto instance = ctx.instances.get(pod->meta.ns + "/" + pod->instance_name);
    if (!instance || instance->meta.uid != pod->instance_uid || instance->node.empty() || instance->node == pod->node) return nullptr;
    HandedOver state = handed_over(instance->json(), pod->migration_uid);
    return state.ours && state.started && !state.failed ? nullptr : pod;
  }

  std::vector<QueueEntry> unfinished() const {
    std::vector<QueueEntry> out;
    for (const auto& m : caches.migrations.list()) {
      if (m->final()) continue;
      QueueEntry e{m->meta.uid, m->instance_key(), "", m->created, priority_value(m->priority)};
      e.active = m->active() || begun.contains(m->meta.uid);
      auto instance = ctx.instances.get(e.instance);
      if (instance) e.source_node = instance->node;
      e.eligible = !m->deleting() && instance && instance->phase == "Running" && instance->meta.deletion_timestamp.empty();
      out.push_back(std::move(e));
    }
    return out;
  }

  /// Those that may begin since a place became free; some of the others, so that they say what is before them now.
  void wake_next() {
    auto all = unfinished();
    for (const auto& uid : may_begin(all, limits()))
      for (const auto& m : caches.migrations.by_index("uid", uid)) queue->enqueue(m->meta.key());
    std::size_t told = 0;
    for (const auto& m : caches.migrations.list()) {
      if (m->phase != "Pending") continue;
      if (++told > kToldOfTheirPlace) break;
      queue->enqueue(m->meta.key());
    }
  }

  void look_at_instance(Round& r) {
    Observation& s = r.seen;
    auto cached = ctx.instances.get(r.cached->instance_key());
    s.instance = cached != nullptr;
    if (!cached) return;
    r.instance = cached->json();
    s.instance_phase = cached->phase;
    s.instance_node = cached->node;
    s.instance_deleting = !cached->meta.deletion_timestamp.empty();
    s.state = handed_over(*r.instance, r.uid);
    s.other_under_way = other_under_way(*r.instance, r.uid);
    if (s.other_under_way) {
      // One whose migration is gone, or has ended without a word there, holds nobody up.
      auto others = caches.migrations.by_index("uid", string_at(*r.instance, {"status", "migrationState", "migrationUid"}));
      s.other_under_way = !others.empty() && !others[0]->final();
    }
    s.label_left = s.final() && s.state.ours && !string_at(*r.instance, {"metadata", "labels", api::kMigrationTargetNodeLabel}).empty();
    if (const Json* c = find_condition(*r.instance, "LiveMigratable"); c && string_at(*c, {"status"}) == "False") {
      s.refused = true;
      s.refusal = fmt::format("Reason: {}, Message: {}", string_at(*c, {"reason"}), string_at(*c, {"message"}));
    }
  }

  void look_at_pods(Round& r) {
    Observation& s = r.seen;
    auto pods = ctx.pods.by_index("migration", r.uid);
    if (!pods.empty()) s.target = pods[0];
    if (s.target && r.instance)
      if (const Json* spec = find(*r.instance, {"spec"})) {
        auto claims = claims_of(*spec);
        std::sort(claims.begin(), claims.end());
        s.outdated_target = claims != s.target->claims;
      }
    auto it = made.find(r.uid);
    if (it != made.end() && (s.target || ctx.clock.now() >= it->second)) made.erase(it);
    s.target_pending = made.contains(r.uid);
    std::string left = string_at(r.object, {"status", "migrationState", "sourcePod"});
    if (s.phase != "Succeeded" || left.empty() || (s.target && s.target->meta.name == left)) return;
    auto source = ctx.pods.get(r.ns + "/" + left);
    // Only where the instance is known to be elsewhere, or to be no more.
    if (source && (!s.instance || source->node != s.instance_node)) s.source = source;
  }

  void look(Round& r) {
    Observation& s = r.seen;
    s = Observation();
    r.ns = r.cached->meta.ns;
    r.name = r.cached->meta.name;
    r.uid = r.cached->meta.uid;
    s.phase = string_at(r.object, {"status", "phase"});
    s.deleting = r.cached->deleting();
    s.finalized = has_finalizer(r.object, api::kMigrationFinalizer);
    if (const Json* times = find(r.object, {"status", "phaseTransitionTimestamps"}); times && times->is_array())
      for (const auto& t : *times)
        if (string_at(t, {"phase"}) == s.phase)
          if (auto at = parse_time(string_at(t, {"phaseTransitionTimestamp"})); at.ok())
            s.in_phase = std::max<Clock::Duration>(Clock::Duration::zero(), ctx.clock.wall() - *at);
    s.unschedulable_limit = limit_of(r.object, "kubevirt.io/migrationUnschedulablePodTimeoutSeconds", kUnschedulableLimit);
    s.pending_limit = limit_of(r.object, "kubevirt.io/migrationPendingPodTimeoutSeconds", kPendingLimit);
    look_at_instance(r);
    look_at_pods(r);
    if (s.phase == "Pending" && !s.deleting) {
      auto all = unfinished();
      s.rival = !rival_of(all, r.uid).empty();
      auto allowed = limits();
      auto next = may_begin(all, allowed);
      s.turn = begun.contains(r.uid) || std::find(next.begin(), next.end(), r.uid) != next.end();
      if (!s.turn) r.waits = why_it_waits(all, allowed, r.uid);
    }
    if (const api::Condition* placed = s.target ? s.target->condition("PodScheduled") : nullptr;
        s.phase == "Scheduling" && placed && placed->status == "False" && r.instance)
      s.obstacle = obstacle_of(r);
    r.plan = plan(s);
    // Taken before anything is waited for, so that two cannot take the same place.
    if (r.plan.step == Step::CreateTarget) begun.insert(r.uid);
    if (s.phase != "Pending" && !s.phase.empty()) begun.erase(r.uid);
  }

  std::string obstacle_of(const Round& r) const {
    auto view = api::decode_instance(*r.instance);
    auto source = ctx.nodes.get(r.seen.instance_node);
    if (!view.ok() || !source) return "";
    std::map<std::string, k8s::Labels> others;
    for (const auto& node : ctx.nodes.list())
      if (node->meta.name != r.seen.instance_node) others.emplace(node->meta.name, node->meta.labels);
    return processor_obstacle(target_selector(*view, source->meta.labels), others);
  }

  vmi::PodOptions pod_options(const Round& r) const {
    vmi::PodOptions o{ctx.options.launcher_image, ctx.options.launcher_uid, ctx.options.capability_cache_dir, {}};
    if (const Json* spec = find(*r.instance, {"spec"}))
      for (const auto& name : claims_of(*spec))
        if (auto claim = ctx.claims.get(r.ns + "/" + name); claim && claim->block) o.block_claims.insert(name);
    return o;
  }

  /// The pod that the guest runs in; null when it is not known.
  PodInformer::Ptr source_pod(const Round& r) const {
    for (const auto& pod : ctx.pods.by_index("instance", string_at(*r.instance, {"metadata", "uid"})))
      if (!pod->ended() && pod->node == r.seen.instance_node && (!r.seen.target || pod->meta.uid != r.seen.target->meta.uid)) return pod;
    return nullptr;
  }

  void tell(const Round& r, const char* type, const char* reason, std::string message) {
    ctx.events.event(reference_to(r.object), type, reason, message);
    if (r.instance) ctx.events.event(reference_to(*r.instance), type, reason, "Migration " + r.name + ": " + message);
  }
};

namespace {

template <class Impl>
using ImplPtr = std::shared_ptr<Impl>;

template <class Impl>
Awaitable<Result<void>> initialize(ImplPtr<Impl> self, typename Impl::Round* r) {
  Json patch = Json::array();
  patch.push_back(uid_test(r->object));
  add_finalizer(patch, r->object, api::kMigrationFinalizer);
  add_metadata_entry(patch, r->object, "labels", api::kMigrationSelectorLabel, vmi::label_value(r->cached->vmi_name));
  if (patch.size() == 1) co_return Result<void>();
  auto written = co_await self->ctx.client.patch(kVirtualMachineInstanceMigrations, r->ns, r->name, PatchType::Json, patch);
  if (!written.ok()) co_return written.error().with_context("take up migration " + r->key);
  r->object = std::move(*written);
  co_return Result<void>();
}

template <class Impl>
Awaitable<Result<void>> create_target(ImplPtr<Impl> self, typename Impl::Round* r) {
  auto view = api::decode_instance(*r->instance);
  if (!view.ok()) co_return Error(Code::InvalidArgument, "FailedCreate", view.error().message);
  auto node = self->ctx.nodes.get(r->seen.instance_node);
  const k8s::Labels none;
  TargetInput in{*r->instance, *view, r->object, node ? node->meta.labels : none, r->seen.instance_node};
  auto pod = render_target_pod(in, self->pod_options(*r));
  if (!pod.ok()) co_return pod.error();
  std::string name = string_at(*pod, {"metadata", "name"});
  NV_FAILPOINT(kBeforeTarget);
  auto made = co_await self->ctx.client.create(kPods, r->ns, std::move(*pod));
  if (!made.ok() && !k8s::is_already_exists(made.error())) co_return made.error().with_context("create the target pod");
  NV_FAILPOINT(kAfterTarget);
  self->made[r->uid] = self->ctx.clock.now() + kEcho;
  r->seen.target_pending = true;
  if (made.ok()) {
    log::info("migration {}: created target pod {}", r->key, name);
    self->tell(*r, "Normal", "SuccessfulCreate", "Created migration target pod " + name);
  }
  co_return Result<void>();
}

template <class Impl>
Awaitable<Result<void>> patch_instance(ImplPtr<Impl> self, typename Impl::Round* r, Json patch, const char* what) {
  auto written = co_await self->ctx.client.patch(kVirtualMachineInstances, r->ns, r->cached->vmi_name, PatchType::Json, std::move(patch));
  if (!written.ok()) co_return written.error().with_context(std::string(what) + " migration " + r->key);
  r->instance = std::move(*written);
  r->seen.state = handed_over(*r->instance, r->uid);
  co_return Result<void>();
}

template <class Impl>
Awaitable<Result<void>> hand_over(ImplPtr<Impl> self, typename Impl::Round* r) {
  auto source = self->source_pod(*r);
  if (!source) co_return Error(Code::Unavailable, "", "the pod of instance " + r->cached->instance_key() + " is not known");
  auto labels = self->ctx.instances.get(r->cached->instance_key());
  const api::LabelMap none;
  HandOverInput in{*r->instance, r->object, r->seen.target, source->meta.name,
                   configuration_of(self->caches, *r->cached, labels ? labels->meta.labels : none)};
  Json patch = hand_over_patch(in);
  NV_FAILPOINT(kBeforeHandOver);
  auto done = co_await patch_instance(self, r, std::move(patch), "hand over");
  if (!done.ok()) co_return done.error();
  NV_FAILPOINT(kAfterHandOver);
  log::info("migration {}: handed over, {} to {}", r->key, r->seen.instance_node, r->seen.target->node);
  self->tell(*r, "Normal", "PreparingTarget",
             fmt::format("VirtualMachineInstance is migrating from node {} to node {}", r->seen.instance_node, r->seen.target->node));
  co_return Result<void>();
}

// Only the server knows whether it was handed over, and whether it has begun meanwhile.
template <class Impl>
Awaitable<Result<void>> take_back(ImplPtr<Impl> self, typename Impl::Round* r) {
  auto now = co_await self->ctx.client.get(kVirtualMachineInstances, r->ns, r->cached->vmi_name);
  if (!now.ok() && k8s::is_not_found(now.error())) co_return Result<void>();
  if (!now.ok()) co_return now.error();
  HandedOver have = handed_over(*now, r->uid);
  if (!have.ours || have.failed) co_return Result<void>();
  if (have.started || have.completed) {
    r->done = false;  // the watch brings it
    r->plan.again = std::chrono::seconds(1);
    co_return Result<void>();
  }
  Json patch = take_back_patch(*now, r->uid, r->plan.reason, r->seen.deleting, self->ctx.clock.wall());
  auto done = co_await patch_instance(self, r, std::move(patch), "take back");
  co_return done;
}

template <class Impl>
Awaitable<Result<void>> delete_pod(ImplPtr<Impl> self, typename Impl::Round* r, PodInformer::Ptr pod, const char* which) {
  client::DeleteOptions options;
  options.uid = pod->meta.uid;
  std::string name = pod->meta.name;
  auto done = co_await self->ctx.client.remove(kPods, r->ns, name, options);
  if (!done.ok() && !k8s::is_not_found(done.error())) co_return done.error().with_context("delete pod " + name);
  log::info("migration {}: deleted {} pod {}", r->key, which, name);
  self->tell(*r, "Normal", "SuccessfulDelete", fmt::format("Deleted migration {} pod {}", which, name));
  co_return Result<void>();
}

template <class Impl>
Awaitable<Result<void>> release(ImplPtr<Impl> self, typename Impl::Round* r) {
  Json patch = Json::array();
  patch.push_back(uid_test(r->object));
  remove_finalizer(patch, r->object, api::kMigrationFinalizer);
  NV_FAILPOINT(kBeforeRelease);
  auto done = co_await self->ctx.client.patch(kVirtualMachineInstanceMigrations, r->ns, r->name, PatchType::Json, patch);
  if (!done.ok() && !k8s::is_not_found(done.error())) co_return done.error().with_context("release migration " + r->key);
  if (done.ok()) r->object = std::move(*done);
  co_return Result<void>();
}

template <class Impl>
Awaitable<Result<void>> take_step(ImplPtr<Impl> self, typename Impl::Round* r) {
  switch (r->plan.step) {
    case Step::None: break;
    case Step::Initialize: co_return co_await initialize(self, r);
    case Step::CreateTarget: co_return co_await create_target(self, r);
    case Step::HandOver: co_return co_await hand_over(self, r);
    case Step::RequestAbort: {
      Json patch = abort_patch(*r->instance, r->uid);
      co_return co_await patch_instance(self, r, std::move(patch), "cancel");
    }
    case Step::TakeBack: co_return co_await take_back(self, r);
    case Step::DeleteTarget: co_return co_await delete_pod(self, r, r->seen.target, "target");
    case Step::DeleteSource: {
      NV_FAILPOINT(kBeforeSource);
      co_return co_await delete_pod(self, r, r->seen.source, "source");
    }
    case Step::ClearLabel: {
      Json patch = clear_label_patch(*r->instance, r->uid);
      co_return co_await patch_instance(self, r, std::move(patch), "clear the label of");
    }
    case Step::RemoveFinalizer: co_return co_await release(self, r);
  }
  co_return Result<void>();
}

template <class Impl>
Awaitable<Result<void>> write_progress(ImplPtr<Impl> self, typename Impl::Round* r, Json migration) {
  ProgressInput in{migration, r->instance ? &*r->instance : nullptr, r->seen, string_at(migration, {"status", "phase"}), r->waits};
  Json patch = progress_patch(in);
  if (patch.is_null()) co_return Result<void>();
  auto written = co_await self->ctx.client.patch(kVirtualMachineInstanceMigrations, r->ns, r->name, PatchType::Merge, patch);
  if (!written.ok() && !k8s::is_not_found(written.error())) co_return written.error().with_context("write progress of migration " + r->key);
  if (written.ok()) r->object["metadata"] = (*written)["metadata"];
  co_return Result<void>();
}

template <class Impl>
Awaitable<Result<void>> write_status(ImplPtr<Impl> self, typename Impl::Round* r) {
  StatusInput in{.object = r->object, .instance = r->instance ? &*r->instance : nullptr, .seen = r->seen, .plan = r->plan, .done = r->done};
  if (r->seen.target || r->seen.target_pending) in.target_pod = target_pod_name(r->cached->vmi_name, r->uid);
  in.quota = r->quota;
  in.now = self->ctx.clock.wall();
  StatusOutcome out = compute_status(in);
  Json patch = status_patch(r->object, out.status);
  if (patch.empty()) co_return Result<void>();
  if (std::string next = string_at(out.status, {"phase"}); next != r->seen.phase && (next == "Succeeded" || next == "Failed")) {
    // How it ended, before that it has: whoever watches sees no end with words from the middle.
    Json ended = r->object;
    ended["status"] = out.status;
    auto told = co_await write_progress(self, r, std::move(ended));
    if (!told.ok()) co_return told.error();
  }
  NV_FAILPOINT(kBeforeStatus);
  client::WriteOptions options;
  options.subresource = "status";
  auto written = co_await self->ctx.client.patch(kVirtualMachineInstanceMigrations, r->ns, r->name, PatchType::Json, patch, options);
  if (!written.ok()) co_return written.error().with_context("write status of migration " + r->key);
  NV_FAILPOINT(kAfterStatus);
  if (std::string now = string_at(out.status, {"phase"}); now != r->seen.phase) log::info("migration {} is {}", r->key, now);
  for (auto& e : out.events) self->tell(*r, e.type.c_str(), e.reason.c_str(), e.message);
  r->object = std::move(*written);
  co_return Result<void>();
}

// The oldest of the finalised ones of the same instance go.
template <class Impl>
Awaitable<Result<void>> sweep(ImplPtr<Impl> self, typename Impl::Round* r) {
  std::vector<MigrationInformer::Ptr> ended;
  for (const auto& m : self->caches.migrations.by_index("instance", r->cached->instance_key()))
    if (m->final() && !m->deleting()) ended.push_back(m);
  if (ended.size() <= kKeptFinalised) co_return Result<void>();
  std::sort(ended.begin(), ended.end(), [](const auto& a, const auto& b) { return std::tie(a->created, a->meta.uid) < std::tie(b->created, b->meta.uid); });
  ended.resize(ended.size() - kKeptFinalised);
  for (const auto& m : ended) {
    client::DeleteOptions options;
    options.uid = m->meta.uid;
    std::string name = m->meta.name;
    auto done = co_await self->ctx.client.remove(kVirtualMachineInstanceMigrations, r->ns, name, options);
    if (!done.ok() && !k8s::is_not_found(done.error())) co_return done.error().with_context("delete the finalised migration " + name);
  }
  co_return Result<void>();
}

template <class Impl>
Awaitable<Result<Action>> remove_orphan(ImplPtr<Impl> self, PodInformer::Ptr pod) {
  client::DeleteOptions options;
  options.uid = pod->meta.uid;
  std::string ns = pod->meta.ns, name = pod->meta.name;
  auto done = co_await self->ctx.client.remove(kPods, ns, name, options);
  if (!done.ok() && !k8s::is_not_found(done.error())) co_return done.error().with_context("delete the orphaned target pod " + name);
  log::info("deleted target pod {}/{}: its migration is gone", ns, name);
  co_return Action{};
}

template <class Impl>
Awaitable<Result<Action>> reconcile(ImplPtr<Impl> self, std::string key) {
  if (key.starts_with(kPodKey)) {
    auto orphan = self->orphan(key.substr(kPodKey.size()));
    if (!orphan) co_return Action{};
    co_return co_await remove_orphan(self, orphan);
  }
  typename Impl::Round r;
  r.key = key;
  r.cached = self->caches.migrations.get(key);
  if (!r.cached) co_return Action{};
  r.object = r.cached->json();
  self->look(r);
  auto stepped = co_await take_step(self, &r);
  if (!stepped.ok()) {
    const Error& e = stepped.error();
    if (r.plan.step == Step::CreateTarget) self->begun.erase(r.uid);
    if (!quota_refusal(e)) co_return e;
    r.done = false;
    r.quota = e.message;
    r.plan.again = kQuotaRetry;
  }
  if (r.plan.step == Step::RemoveFinalizer && r.seen.deleting) co_return Action{};
  auto written = co_await write_status(self, &r);
  if (written.ok()) {
    Json now = r.object;
    written = co_await write_progress(self, &r, std::move(now));
  }
  if (!written.ok()) {
    if (k8s::is_not_found(written.error())) co_return Action{};
    co_return written.error();
  }
  if (r.seen.final()) {
    auto swept = co_await sweep(self, &r);
    if (!swept.ok()) co_return swept.error();
  }
  co_return Action{r.plan.again};
}

}  // namespace

MigrationController::MigrationController(Context& context, Caches& caches) : impl_(std::make_shared<Impl>(context, caches)) {
  std::weak_ptr<Impl> weak = impl_;
  runtime::Controller::Reconcile fn = [weak](std::string key) -> Awaitable<Result<Action>> { return reconcile(weak.lock(), std::move(key)); };
  impl_->queue = std::make_unique<runtime::Controller>(context.clock, runtime::Controller::Options{.name = "migration"}, std::move(fn));
  auto wake_migrations_of = [weak](const std::string& instance_key) {
    auto impl = weak.lock();
    if (!impl) return;
    for (const auto& m : impl->caches.migrations.by_index("instance", instance_key)) impl->queue->enqueue(m->meta.key());
  };
  caches.migrations.on_change([weak](const MigrationInformer::Ptr& old, const MigrationInformer::Ptr& now) {
    auto impl = weak.lock();
    if (!impl) return;
    impl->queue->enqueue((now ? now : old)->meta.key());
    if (now && !now->final()) return;
    impl->made.erase((now ? now : old)->meta.uid);
    impl->begun.erase((now ? now : old)->meta.uid);
    if (!now || (old && !old->final())) impl->wake_next();
    if (now) return;
    for (const auto& pod : impl->ctx.pods.by_index("migration", old->meta.uid)) impl->queue->enqueue(std::string(kPodKey) + pod->meta.key());
  });
  context.instances.on_change([wake_migrations_of](const KubevirtInformer::Ptr& old, const KubevirtInformer::Ptr& now) {
    wake_migrations_of((now ? now : old)->meta.key());
  });
  context.pods.on_change([weak](const PodInformer::Ptr& old, const PodInformer::Ptr& now) {
    const auto& pod = now ? now : old;
    auto impl = weak.lock();
    auto label = pod->meta.labels.find(std::string(api::kMigrationJobLabel));
    if (!impl || label == pod->meta.labels.end()) return;
    auto migrations = impl->caches.migrations.by_index("uid", label->second);
    for (const auto& m : migrations) impl->queue->enqueue(m->meta.key());
    if (migrations.empty() && now) impl->queue->enqueue(std::string(kPodKey) + pod->meta.key());
  });
  caches.kubevirts.on_change([weak](const auto&, const auto&) {
    if (auto impl = weak.lock(); impl && impl->caches.has_synced()) impl->wake_next();
  });
}

MigrationController::~MigrationController() = default;

Awaitable<void> MigrationController::run(StopToken stop) {
  auto impl = impl_;
  co_await impl->queue->run(stop);
}

bool MigrationController::idle() const { return impl_->queue->idle(); }

}  // namespace nodevirt::virt_controller::migration
