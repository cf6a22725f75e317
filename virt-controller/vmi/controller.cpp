#include "virt-controller/vmi/controller.hpp"

#include <algorithm>

#include "api/fence.hpp"
#include "api/names.hpp"
#include "pkg/base/failpoint.hpp"
#include "pkg/base/log.hpp"
#include "pkg/k8s/status.hpp"
#include "virt-controller/node/heartbeat.hpp"
#include "virt-controller/node/unschedulable.hpp"
#include "virt-controller/status_patch.hpp"
#include "virt-controller/vm/volumes.hpp"
#include "virt-controller/vmi/pod.hpp"
#include "virt-controller/vmi/status.hpp"

namespace nodevirt::virt_controller::vmi {

namespace {

using client::PatchType;
using k8s::resources::kPods;
using k8s::resources::kVirtualMachineInstances;
using runtime::Action;

NV_DECLARE_FAILPOINT(kBeforePod, "virt-controller.vmi-before-pod");
NV_DECLARE_FAILPOINT(kAfterPod, "virt-controller.vmi-after-pod");
NV_DECLARE_FAILPOINT(kBeforeStatus, "virt-controller.vmi-before-status");
NV_DECLARE_FAILPOINT(kAfterStatus, "virt-controller.vmi-after-status");
NV_DECLARE_FAILPOINT(kBeforeRelease, "virt-controller.vmi-before-release");

constexpr auto kEcho = std::chrono::seconds(10);

struct Pending {
  std::string uid;
  Clock::Time until;
};

// A migration has been handed over to the virt-handlers, has not ended, and its target's pod is there.
bool target_lives(const Json& object, const std::vector<PodInformer::Ptr>& pods) {
  const Json* state = find(object, {"status", "migrationState"});
  if (!state || !state->is_object() || bool_at(*state, {"completed"}) || bool_at(*state, {"failed"})) return false;
  std::string uid = string_at(*state, {"migrationUid"});
  return !uid.empty() && std::any_of(pods.begin(), pods.end(), [&](const auto& p) { return p->migration_uid == uid && !p->ended(); });
}

}  // namespace

struct VmiController::Impl {
  explicit Impl(Context& c) : ctx(c) {}

  Context& ctx;
  std::unordered_map<std::string, Pending> created;          ///< by key: pods made for the uid, not yet shown by the watch
  std::unordered_map<std::string, Clock::Time> podless_since; ///< by instance uid
  std::unordered_map<std::string, Clock::Time> unarmed_since; ///< by instance uid
  std::unique_ptr<runtime::Controller> queue;

  struct Round {
    std::string key, ns, name, uid;
    Json object;
    Observation seen;
    Plan plan;
    std::optional<Error> failure;
    bool pod_confirmed_gone = false, fenced = false, never_armed = false;
  };

  void look(Round& r) {
    Observation& s = r.seen;
    s = Observation();
    r.ns = string_at(r.object, {"metadata", "namespace"});
    r.name = string_at(r.object, {"metadata", "name"});
    r.uid = string_at(r.object, {"metadata", "uid"});
    s.phase = string_at(r.object, {"status", "phase"});
    s.deleting = !string_at(r.object, {"metadata", "deletionTimestamp"}).empty();
    s.finalized = has_finalizer(r.object, api::kVmiFinalizer);
    s.pods = ctx.pods.by_index("instance", r.uid);
    s.node = string_at(r.object, {"status", "nodeName"});
    s.migrating = target_lives(r.object, s.pods);
    auto it = created.find(r.key);
    if (it != created.end() && (!s.pods.empty() || it->second.uid != r.uid || ctx.clock.now() >= it->second.until)) created.erase(it);
    s.pod_pending = created.contains(r.key);
    if (const Json* spec = find(r.object, {"spec"}))
      for (const auto& claim : claims_of(*spec))
        if (!ctx.claims.get(r.ns + "/" + claim) && s.missing_claim.empty()) s.missing_claim = claim;
    if (s.handed_over() || s.final()) s.fence_left = ctx.fences.time_left(s.pods);
    s.never_armed = s.final() && string_at(r.object, {"status", "reason"}) == kNeverArmed;
    look_at_unarmed(r);
    if (s.node.empty() && !s.pods.empty()) {
      s.stranded = std::all_of(s.pods.begin(), s.pods.end(), [this](const auto& p) {
        if (p->node.empty() || p->ended()) return false;
        auto node = ctx.nodes.get(p->node);
        return !node || node::heartbeat_is_stale(node->heartbeat(), ctx.clock.wall());
      });
    }
    if (s.handed_over()) {
      auto node = ctx.nodes.get(string_at(r.object, {"status", "nodeName"}));
      s.node_dead = !node || node::heartbeat_is_stale(node->heartbeat(), ctx.clock.wall());
      auto pod = s.pod();
      if (pod && !pod->ended()) podless_since.erase(r.uid);
      else s.podless = ctx.clock.now() - podless_since.emplace(r.uid, ctx.clock.now()).first->second;
    } else {
      podless_since.erase(r.uid);
    }
    r.plan = plan(s);
  }

  void look_at_unarmed(Round& r) {
    Observation& s = r.seen;
    auto annotations = runtime::ObjectMeta::from_json(r.object).annotations;
    bool armed_at_start = annotations.contains(std::string(api::kFenceAtStartAnnotation));  // else its guest may have started without
    std::int64_t seconds = armed_at_start ? api::fence_seconds(annotations).value_or(0) : 0;
    bool lives = std::any_of(s.pods.begin(), s.pods.end(), [](const auto& p) { return !p->ended(); });
    if (s.phase != "Scheduled" || seconds == 0 || !lives || s.fence_left) {
      unarmed_since.erase(r.uid);
      return;
    }
    Clock::Duration waited = ctx.clock.now() - unarmed_since.emplace(r.uid, ctx.clock.now()).first->second;
    Clock::Duration all = std::chrono::seconds(seconds) + fence::margin(seconds) + kHandlerSilence;
    s.unarmed_left = std::max(Clock::Duration::zero(), all - waited);
  }

  PodOptions pod_options(const Round& r) const {
    PodOptions o{ctx.options.launcher_image, ctx.options.launcher_uid, ctx.options.capability_cache_dir, {}};
    if (const Json* spec = find(r.object, {"spec"}))
      for (const auto& name : claims_of(*spec))
        if (auto claim = ctx.claims.get(r.ns + "/" + name); claim && claim->block) o.block_claims.insert(name);
    return o;
  }
};

namespace {

template <class Impl>
using Ptr = std::shared_ptr<Impl>;

template <class Impl>
Awaitable<Result<void>> initialize(Ptr<Impl> self, typename Impl::Round* r) {
  Json status = r->object.contains("status") && r->object["status"].is_object() ? r->object["status"] : Json::object();
  if (r->seen.phase.empty()) enter_phase(status, "Pending", self->ctx.clock.wall());
  Json patch = status_patch(r->object, status);
  if (patch.empty()) patch.push_back(uid_test(r->object));
  add_finalizer(patch, r->object, api::kVmiFinalizer);
  auto written = co_await self->ctx.client.patch(kVirtualMachineInstances, r->ns, r->name, PatchType::Json, patch);
  if (!written.ok()) co_return written.error().with_context("take up instance " + r->key);
  r->object = std::move(*written);
  self->look(*r);
  co_return Result<void>();
}

template <class Impl>
Awaitable<Result<void>> create_pod(Ptr<Impl> self, typename Impl::Round* r) {
  auto view = api::decode_instance(r->object);
  if (!view.ok()) co_return Error(Code::InvalidArgument, "FailedCreate", view.error().message);
  auto pod = render_pod(r->object, *view, self->pod_options(*r));
  if (!pod.ok()) co_return pod.error();
  NV_FAILPOINT(kBeforePod);
  auto made = co_await self->ctx.client.create(kPods, r->ns, std::move(*pod));
  if (!made.ok()) {
    Error e = made.error();
    if (k8s::is_already_exists(e)) {
      // Its name carries the instance's uid: it is ours, made before a restart or not yet shown by the watch.
      self->created[r->key] = {r->uid, self->ctx.clock.now() + kEcho};
      r->seen.pod_pending = true;
      co_return Result<void>();
    }
    if (e.code != Code::Unavailable && e.code != Code::DeadlineExceeded) e.reason = "FailedCreate";
    co_return e.with_context("create the launcher pod");
  }
  NV_FAILPOINT(kAfterPod);
  self->created[r->key] = {r->uid, self->ctx.clock.now() + kEcho};
  r->seen.pod_pending = true;
  log::info("created pod {} of instance {}", pod_name(r->name, r->uid), r->key);
  std::string text = "Created virtual machine pod " + pod_name(r->name, r->uid);
  self->ctx.events.event(reference_to(r->object), "Normal", "SuccessfulCreate", text);
  co_return Result<void>();
}

template <class Impl>
Awaitable<Result<void>> delete_pods(Ptr<Impl> self, typename Impl::Round* r) {
  auto pods = r->seen.pods;
  for (const auto& pod : pods) {
    if (pod->deleting()) continue;
    client::DeleteOptions options;
    options.uid = pod->meta.uid;
    std::string name = pod->meta.name;
    auto done = co_await self->ctx.client.remove(kPods, r->ns, name, options);
    if (!done.ok() && !k8s::is_not_found(done.error())) {
      if (!k8s::is_conflict(done.error()) && done.error().code != Code::Unavailable)
        self->ctx.events.event(reference_to(r->object), "Warning", "FailedDelete", "Failed to delete virtual machine pod " + name);
      co_return done.error().with_context("delete pod " + name);
    }
    self->ctx.events.event(reference_to(r->object), "Normal", "SuccessfulDelete", "Deleted virtual machine pod " + name);
  }
  co_return Result<void>();
}

// What is to be acted on, by the server's word.
template <class Impl>
Awaitable<Result<bool>> confirm_no_guest(Ptr<Impl> self, typename Impl::Round* r) {
  auto pods = r->seen.pods;
  if (r->seen.fenced()) co_return co_await self->ctx.fences.confirm(std::move(pods));
  co_return co_await self->ctx.fences.confirm_unarmed(std::move(pods));
}

// No new guest goes to that node from here on: neither ours, nor anybody's.
template <class Impl>
Awaitable<Result<void>> fence(Ptr<Impl> self, typename Impl::Round* r) {
  auto confirmed = co_await confirm_no_guest(self, r);
  if (!confirmed.ok()) co_return confirmed.error();
  if (!*confirmed) {
    r->plan.again = std::chrono::seconds(1);  // the cache is behind: the watch brings what it lacks
    co_return Result<void>();
  }
  auto pods = r->seen.pods;
  for (const auto& pod : pods) {
    if (pod->ended()) continue;
    auto marked = co_await node::mark_unschedulable(&self->ctx, pod->node);
    if (!marked.ok()) co_return marked.error();
  }
  r->fenced = r->seen.fenced();
  r->never_armed = !r->fenced;
  log::warning("instance {}: {}", r->key, r->fenced ? "the fence deadline passed, its guest is dead" : "its fence was not armed, and no guest started");
  co_return Result<void>();
}

// `how` ends the event's sentence.
template <class Impl>
Awaitable<Result<void>> remove_pods_at_once(Ptr<Impl> self, typename Impl::Round* r, std::string how) {
  auto pods = r->seen.pods;
  for (const auto& pod : pods) {
    client::DeleteOptions options;
    options.uid = pod->meta.uid;
    options.grace_period_seconds = 0;
    std::string name = pod->meta.name;
    auto done = co_await self->ctx.client.remove(kPods, r->ns, name, options);
    if (!done.ok() && !k8s::is_not_found(done.error())) co_return done.error().with_context("delete pod " + name);
    self->ctx.events.event(reference_to(r->object), "Normal", "SuccessfulDelete", "Deleted virtual machine pod " + name + how);
  }
  co_return Result<void>();
}

// kubelet, or the pod runner, is not there to confirm the end of these pods; the fence has.
template <class Impl>
Awaitable<Result<void>> force_pods(Ptr<Impl> self, typename Impl::Round* r) {
  auto confirmed = co_await confirm_no_guest(self, r);
  if (!confirmed.ok()) co_return confirmed.error();
  if (!*confirmed) {
    r->plan.again = std::chrono::seconds(1);  // the cache is behind: the watch brings what it lacks
    co_return Result<void>();
  }
  co_return co_await remove_pods_at_once(self, r, " without its node");
}

// Only virt-controller hands over, and this instance will not be any more: virt-handler starts nothing in these pods.
template <class Impl>
Awaitable<Result<void>> drop_pods(Ptr<Impl> self, typename Impl::Round* r) {
  auto now = co_await self->ctx.client.get(kVirtualMachineInstances, r->ns, r->name);
  if (!now.ok() && !k8s::is_not_found(now.error())) co_return now.error();
  if (now.ok() && string_at(*now, {"metadata", "uid"}) == r->uid && !string_at(*now, {"status", "nodeName"}).empty()) {
    r->plan.again = std::chrono::seconds(1);  // the cache is behind: the watch brings what it lacks
    co_return Result<void>();
  }
  co_return co_await remove_pods_at_once(self, r, ": its node does not answer, and nothing was started in it");
}

// The cache may lag behind; only the server knows that there is no pod.
template <class Impl>
Awaitable<Result<bool>> pod_is_gone(Ptr<Impl> self, typename Impl::Round* r) {
  client::ListOptions options;
  options.label_selector = std::string(api::kCreatedByLabel) + "=" + r->uid;
  auto pods = co_await self->ctx.client.list(kPods, r->ns, options);
  if (!pods.ok()) co_return pods.error();
  const Json* items = find(*pods, {"items"});
  if (!items || !items->is_array()) co_return true;
  // A guest that was handed over is in the pod on its node: a migration's other pod is not waited for.
  bool on_node = r->seen.handed_over() && !r->seen.node.empty();
  for (const auto& pod : *items)
    if (string_at(pod, {"metadata", "labels", api::kCreatedByLabel}) == r->uid &&
        (!on_node || string_at(pod, {"spec", "nodeName"}) == r->seen.node))
      co_return false;
  co_return true;
}

// Whether a machine still has to read in this instance on which claims its disks are (vm/volumes.hpp).
template <class Impl>
Awaitable<Result<bool>> machine_needs_it(Ptr<Impl> self, typename Impl::Round* r) {
  if (!find(r->object, {"status", "migratedVolumes"})) co_return false;  // nothing ever moved
  auto machine = co_await self->ctx.client.get(k8s::resources::kVirtualMachines, r->ns, r->name);
  if (!machine.ok() && k8s::is_not_found(machine.error())) co_return false;
  if (!machine.ok()) co_return machine.error().with_context("read VirtualMachine " + r->key);
  bool owner = string_at(*machine, {"metadata", "uid"}) == controller_of(r->object);
  co_return owner && string_at(*machine, {"metadata", "deletionTimestamp"}).empty() && vm::awaits_judgement(*machine);
}

template <class Impl>
Awaitable<Result<void>> remove_instance_finalizer(Ptr<Impl> self, typename Impl::Round* r) {
  auto gone = co_await pod_is_gone(self, r);
  if (!gone.ok()) co_return gone.error();
  if (!*gone) co_return Result<void>();  // the watch will show it
  auto needed = co_await machine_needs_it(self, r);
  if (!needed.ok()) co_return needed.error();
  if (*needed) {
    r->plan = {Step::None, std::chrono::seconds(1)};
    co_return Result<void>();
  }
  Json patch = Json::array();
  patch.push_back(uid_test(r->object));
  remove_finalizer(patch, r->object, api::kVmiFinalizer);
  NV_FAILPOINT(kBeforeRelease);
  auto done = co_await self->ctx.client.patch(kVirtualMachineInstances, r->ns, r->name, PatchType::Json, patch);
  if (!done.ok() && !k8s::is_not_found(done.error())) co_return done.error().with_context("release instance " + r->key);
  log::info("released instance {}", r->key);
  self->created.erase(r->key);
  co_return Result<void>();
}

template <class Impl>
Awaitable<Result<void>> take_step(Ptr<Impl> self, typename Impl::Round* r) {
  switch (r->plan.step) {
    case Step::None: break;
    case Step::Initialize: {
      auto done = co_await initialize(self, r);
      if (!done.ok()) co_return done.error();
      if (r->plan.step == Step::CreatePod) co_return co_await create_pod(self, r);
      break;
    }
    case Step::CreatePod: co_return co_await create_pod(self, r);
    case Step::DeletePods: co_return co_await delete_pods(self, r);
    case Step::Fence: co_return co_await fence(self, r);
    case Step::ForcePods: co_return co_await force_pods(self, r);
    case Step::DropPods: co_return co_await drop_pods(self, r);
    case Step::RemoveFinalizer: co_return co_await remove_instance_finalizer(self, r);
    case Step::ConfirmPodGone: {
      auto gone = co_await pod_is_gone(self, r);
      if (!gone.ok()) co_return gone.error();
      r->pod_confirmed_gone = *gone;
      if (*gone) self->created.erase(r->key);
      break;
    }
  }
  co_return Result<void>();
}

template <class Impl>
Awaitable<Result<void>> write_status(Ptr<Impl> self, typename Impl::Round* r) {
  StatusInput in{.object = r->object, .seen = r->seen, .failure = r->failure, .pod_confirmed_gone = r->pod_confirmed_gone, .fenced = r->fenced,
                 .never_armed = r->never_armed};
  in.launcher_uid = self->ctx.options.launcher_uid;
  in.launcher_image = self->ctx.options.launcher_image;
  if (const Json* spec = find(r->object, {"spec"}))
    for (const auto& name : claims_of(*spec))
      if (auto claim = self->ctx.claims.get(r->ns + "/" + name); claim && claim->bound()) in.claims.emplace(name, claim->info);
  in.now = self->ctx.clock.wall();
  StatusOutcome out = compute_status(in);
  Json patch = status_patch(r->object, out.status);
  if (!out.node_label.empty()) add_metadata_entry(patch, r->object, "labels", api::kNodeNameLabel, out.node_label);
  if (!out.fence_at_start.empty()) add_metadata_entry(patch, r->object, "annotations", api::kFenceAtStartAnnotation, out.fence_at_start);
  if (patch.empty()) co_return Result<void>();
  NV_FAILPOINT(kBeforeStatus);
  auto written = co_await self->ctx.client.patch(kVirtualMachineInstances, r->ns, r->name, PatchType::Json, patch);
  if (!written.ok()) co_return written.error().with_context("write status of instance " + r->key);
  NV_FAILPOINT(kAfterStatus);
  std::string now = string_at(out.status, {"phase"});
  if (now != r->seen.phase) log::info("instance {} is {}", r->key, now);
  auto about = reference_to(r->object);
  for (auto& e : out.events) self->ctx.events.event(about, e.type, e.reason, e.message);
  r->object = std::move(*written);
  co_return Result<void>();
}

template <class Impl>
Awaitable<Result<void>> open_gate(Ptr<Impl> self, typename Impl::Round* r) {
  auto pod = r->seen.pod();
  if (!pod || r->seen.final()) co_return Result<void>();
  auto patch = gate_patch(r->object, *pod, self->ctx.clock.wall());
  if (!patch) co_return Result<void>();
  client::WriteOptions options;
  options.subresource = "status";
  std::string name = pod->meta.name;
  auto done = co_await self->ctx.client.patch(kPods, r->ns, name, PatchType::StrategicMerge, *patch, options);
  if (!done.ok() && !k8s::is_not_found(done.error())) co_return done.error().with_context("set the readiness gate of pod " + name);
  co_return Result<void>();
}

template <class Impl>
Awaitable<Result<Action>> reconcile(Ptr<Impl> self, std::string key) {
  auto cached = self->ctx.instances.get(key);
  if (!cached) {
    self->created.erase(key);
    co_return Action{};
  }
  typename Impl::Round r;
  r.key = key;
  r.object = cached->json();
  self->look(r);
  auto stepped = co_await take_step(self, &r);
  if (stepped.ok() && r.plan.step == Step::RemoveFinalizer) co_return Action{};
  std::optional<Error> error;
  if (!stepped.ok()) {
    error = stepped.error();
    if (k8s::is_conflict(*error) || k8s::is_failed_test(*error)) co_return *error;  // the watch brings what we missed
    if (r.plan.step == Step::CreatePod) r.failure = error;
  }
  auto written = co_await write_status(self, &r);
  if (error) co_return *error;
  if (!written.ok()) {
    if (k8s::is_not_found(written.error())) co_return Action{};
    co_return written.error();
  }
  auto opened = co_await open_gate(self, &r);
  if (!opened.ok()) co_return opened.error();
  co_return Action{r.plan.again};
}

}  // namespace

VmiController::VmiController(Context& context) : impl_(std::make_shared<Impl>(context)) {
  std::weak_ptr<Impl> weak = impl_;
  runtime::Controller::Reconcile fn = [weak](std::string key) -> Awaitable<Result<Action>> { return reconcile(weak.lock(), std::move(key)); };
  impl_->queue = std::make_unique<runtime::Controller>(context.clock, runtime::Controller::Options{.name = "vmi"}, std::move(fn));
  context.instances.on_change([weak](const KubevirtInformer::Ptr& old, const KubevirtInformer::Ptr& now) {
    auto impl = weak.lock();
    if (!impl) return;
    if (!now) {
      impl->podless_since.erase(old->meta.uid);
      impl->unarmed_since.erase(old->meta.uid);
    }
    impl->queue->enqueue((now ? now : old)->meta.key());
  });
  context.pods.on_change([weak](const PodInformer::Ptr& old, const PodInformer::Ptr& now) {
    const auto& pod = now ? now : old;
    auto impl = weak.lock();
    if (impl && !pod->instance_name.empty()) impl->queue->enqueue(pod->meta.ns + "/" + pod->instance_name);
  });
  context.claims.on_change([weak](const ClaimInformer::Ptr& old, const ClaimInformer::Ptr& now) {
    auto impl = weak.lock();
    if (!impl || (old && now && old->phase == now->phase)) return;
    for (const auto& i : impl->ctx.instances.by_index("claim", (now ? now : old)->meta.key())) impl->queue->enqueue(i->meta.key());
  });
}

VmiController::~VmiController() = default;

void VmiController::enqueue(std::string key) { impl_->queue->enqueue(std::move(key)); }

Awaitable<void> VmiController::run(StopToken stop) {
  auto impl = impl_;
  co_await impl->queue->run(stop);
}

bool VmiController::idle() const { return impl_->queue->idle(); }

}  // namespace nodevirt::virt_controller::vmi
