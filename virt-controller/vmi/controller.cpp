#include "virt-controller/vmi/controller.hpp"

#include "api/names.hpp"
#include "pkg/base/failpoint.hpp"
#include "pkg/base/log.hpp"
#include "pkg/k8s/status.hpp"
#include "virt-controller/node/heartbeat.hpp"
#include "virt-controller/status_patch.hpp"
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

}  // namespace

struct VmiController::Impl {
  explicit Impl(Context& c) : ctx(c) {}

  Context& ctx;
  std::unordered_map<std::string, Pending> created;          ///< by key: pods made for the uid, not yet shown by the watch
  std::unordered_map<std::string, Clock::Time> podless_since; ///< by instance uid
  std::unique_ptr<runtime::Controller> queue;

  struct Round {
    std::string key, ns, name, uid;
    Json object;
    Observation seen;
    Plan plan;
    std::optional<Error> failure;
    bool pod_confirmed_gone = false;
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
    auto it = created.find(r.key);
    if (it != created.end() && (!s.pods.empty() || it->second.uid != r.uid || ctx.clock.now() >= it->second.until)) created.erase(it);
    s.pod_pending = created.contains(r.key);
    if (const Json* spec = find(r.object, {"spec"}))
      for (const auto& claim : claims_of(*spec))
        if (!ctx.claims.get(r.ns + "/" + claim) && s.missing_claim.empty()) s.missing_claim = claim;
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
    if (!done.ok() && !k8s::is_not_found(done.error())) co_return done.error().with_context("delete pod " + name);
    self->ctx.events.event(reference_to(r->object), "Normal", "SuccessfulDelete", "Deleted virtual machine pod " + name);
  }
  co_return Result<void>();
}

// The cache may lag behind; only the server knows that there is no pod.
template <class Impl>
Awaitable<Result<bool>> pod_is_gone(Ptr<Impl> self, typename Impl::Round* r) {
  auto pod = co_await self->ctx.client.get(kPods, r->ns, pod_name(r->name, r->uid));
  if (pod.ok()) co_return string_at(*pod, {"metadata", "labels", api::kCreatedByLabel}) != r->uid;
  if (k8s::is_not_found(pod.error())) co_return true;
  co_return pod.error();
}

template <class Impl>
Awaitable<Result<void>> remove_instance_finalizer(Ptr<Impl> self, typename Impl::Round* r) {
  auto gone = co_await pod_is_gone(self, r);
  if (!gone.ok()) co_return gone.error();
  if (!*gone) co_return Result<void>();  // the watch will show it
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
  StatusInput in{.object = r->object, .seen = r->seen, .failure = r->failure, .pod_confirmed_gone = r->pod_confirmed_gone};
  in.launcher_uid = self->ctx.options.launcher_uid;
  in.launcher_image = self->ctx.options.launcher_image;
  in.now = self->ctx.clock.wall();
  StatusOutcome out = compute_status(in);
  Json patch = status_patch(r->object, out.status);
  if (!out.node_label.empty()) add_metadata_entry(patch, r->object, "labels", api::kNodeNameLabel, out.node_label);
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
    if (!now) impl->podless_since.erase(old->meta.uid);
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
