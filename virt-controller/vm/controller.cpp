#include "virt-controller/vm/controller.hpp"

#include "api/names.hpp"
#include "pkg/base/failpoint.hpp"
#include "pkg/base/id.hpp"
#include "pkg/base/log.hpp"
#include "pkg/k8s/status.hpp"
#include "virt-controller/status_patch.hpp"
#include "virt-controller/vm/events.hpp"
#include "virt-controller/vm/instance.hpp"
#include "virt-controller/vm/revisions.hpp"
#include "virt-controller/vm/live_update.hpp"
#include "virt-controller/vm/status.hpp"
#include "virt-controller/vm/volumes.hpp"

namespace nodevirt::virt_controller::vm {

namespace {

using client::PatchType;
using k8s::resources::kVirtualMachineInstances;
using k8s::resources::kVirtualMachines;
using runtime::Action;

NV_DECLARE_FAILPOINT(kBeforeCreate, "virt-controller.vm-before-create");
NV_DECLARE_FAILPOINT(kAfterCreate, "virt-controller.vm-after-create");
NV_DECLARE_FAILPOINT(kBeforeDelete, "virt-controller.vm-before-delete");
NV_DECLARE_FAILPOINT(kAfterDelete, "virt-controller.vm-after-delete");
NV_DECLARE_FAILPOINT(kBeforeStatus, "virt-controller.vm-before-status");
NV_DECLARE_FAILPOINT(kBeforeVolumes, "virt-controller.vm-before-volumes");
NV_DECLARE_FAILPOINT(kAfterVolumes, "virt-controller.vm-after-volumes");

struct Pending {
  std::string uid;
  Clock::Time until;
};

double random_fraction() {
  unsigned char byte = 0;
  random_bytes(std::span(&byte, 1));
  return byte / 255.0;
}

}  // namespace

struct VmController::Impl {
  explicit Impl(Context& c) : ctx(c), revisions(c.client) {}

  Context& ctx;
  Revisions revisions;
  std::unordered_map<std::string, Pending> created, deleted;   ///< by key: our writes that the watch has not shown
  std::unique_ptr<runtime::Controller> queue;

  /// One reconcile: what was seen, and what came of it.
  struct Round {
    std::string key;
    Json object;
    Machine machine;
    std::optional<Json> instance_object;
    std::optional<Instance> instance;
    Plan plan;
    std::optional<Error> failure;
    bool restart_required = false;
    std::string restart_reason;
    Json moving;                       ///< volumes that are about to move (volumes.hpp)
    bool own() const { return instance && owns(machine, &*instance); }
  };

  bool is_pending(std::unordered_map<std::string, Pending>& map, const std::string& key) {
    auto it = map.find(key);
    if (it == map.end()) return false;
    if (ctx.clock.now() < it->second.until) return true;
    map.erase(it);
    return false;
  }

  void look(Round& r) {
    r.machine = Machine::of(r.object);
    if (auto cached = ctx.instances.get(r.key)) {
      r.instance_object = cached->json();
      r.instance = Instance::of(*r.instance_object);
      created.erase(r.key);
      if (auto it = deleted.find(r.key); it != deleted.end() && (r.instance->deleting || it->second.uid != r.instance->uid)) deleted.erase(it);
    } else {
      deleted.erase(r.key);
    }
    PlanInput in{.machine = r.machine, .instance = r.instance ? &*r.instance : nullptr, .now = ctx.clock.wall()};
    in.create_pending = is_pending(created, r.key);
    in.delete_pending = is_pending(deleted, r.key);
    r.plan = plan(in);
    r.failure = r.plan.failure;
  }

  /// The volumes of a guest that runs may move to other claims.
  VolumesPlan plan_volumes_of(const Round& r) const {
    std::string ns = r.machine.ns, own_key = r.key;
    VolumesInput in{.machine = r.object, .instance = *r.instance_object};
    in.claim = [this, ns](const std::string& name) { return ctx.claims.get(ns + "/" + name); };
    in.other_user = [this, ns, own_key](const std::string& name) -> std::string {
      for (const auto& m : ctx.machines.by_index("claim", ns + "/" + name))
        if (m->meta.key() != own_key) return "VirtualMachine " + m->meta.name;
      for (const auto& i : ctx.instances.by_index("claim", ns + "/" + name))
        if (i->meta.key() != own_key) return "VirtualMachineInstance " + i->meta.name;
      return "";
    };
    in.now = ctx.clock.wall();
    return plan_volumes(in);
  }

  bool claims_unbound(const Round& r) const {
    const Json* spec = find(r.object, {"spec", "template", "spec"});
    if (!spec) return false;
    for (const auto& name : claims_of(*spec)) {
      auto claim = ctx.claims.get(r.machine.ns + "/" + name);
      if (claim && claim->phase != "Bound") return true;
    }
    return false;
  }

  Json wanted_status(Round& r, bool switched_on) {
    StatusInput in{.object = r.object, .machine = r.machine};
    if (r.own()) {
      in.instance_object = &*r.instance_object;
      in.instance = &*r.instance;
    }
    in.start_expected = is_pending(created, r.key);
    in.stop_expected = is_pending(deleted, r.key);
    in.claims_unbound = claims_unbound(r);
    in.restart_required = r.restart_required || !r.restart_reason.empty();
    in.restart_reason = r.restart_reason;
    if (!r.moving.is_null()) in.moving = &r.moving;
    in.request_start = r.plan.request_start;
    in.switched_on = switched_on;
    in.failure = r.failure;
    in.now = ctx.clock.wall();
    in.jitter = random_fraction();
    return compute_status(in);
  }
};

namespace {

template <class Impl>
using Ptr = std::shared_ptr<Impl>;

// Writes status where it differs. The stored object is replaced by the server's answer.
template <class Impl>
Awaitable<Result<void>> write_status(Ptr<Impl> self, typename Impl::Round* r) {
  Json status = self->wanted_status(*r, false);
  Json patch = status_patch(r->object, status);
  if (patch.empty()) co_return Result<void>();
  NV_FAILPOINT(kBeforeStatus);
  client::WriteOptions options;
  options.subresource = "status";
  auto written = co_await self->ctx.client.patch(kVirtualMachines, r->machine.ns, r->machine.name, PatchType::Json, patch, options);
  if (!written.ok()) co_return written.error().with_context("write status of VirtualMachine " + r->key);
  r->object = std::move(*written);
  r->machine = Machine::of(r->object);
  co_return Result<void>();
}

template <class Impl>
Awaitable<Result<void>> change_finalizer(Ptr<Impl> self, typename Impl::Round* r, bool add) {
  Json patch = Json::array();
  patch.push_back(uid_test(r->object));
  if (add) add_finalizer(patch, r->object, api::kVmFinalizer);
  else remove_finalizer(patch, r->object, api::kVmFinalizer);
  if (patch.size() == 1) co_return Result<void>();
  auto written = co_await self->ctx.client.patch(kVirtualMachines, r->machine.ns, r->machine.name, PatchType::Json, patch);
  if (!written.ok()) {
    if (!add && k8s::is_not_found(written.error())) co_return Result<void>();
    co_return written.error().with_context("change the finalizer of VirtualMachine " + r->key);
  }
  r->object = std::move(*written);
  r->machine = Machine::of(r->object);
  co_return Result<void>();
}

template <class Impl>
Awaitable<Result<void>> create_instance(Ptr<Impl> self, typename Impl::Round* r) {
  auto instance = build_instance(r->object, r->machine.start_paused(), self->ctx.clock.wall());
  if (!instance.ok()) co_return instance.error();
  NV_FAILPOINT(kBeforeCreate);
  auto made = co_await self->ctx.client.create(kVirtualMachineInstances, r->machine.ns, std::move(*instance));
  if (!made.ok()) {
    Error e = made.error();
    // The name is the machine's: an instance that is there already is ours, or the watch will tell whose.
    if (k8s::is_already_exists(e)) co_return Error(Code::Unavailable, "AlreadyExists", e.message);
    instance_create_failed(self->ctx, r->object, e);
    if (e.reason == "Invalid" || e.reason == "Forbidden" || e.reason == "BadRequest") e.reason = "FailedCreate";
    co_return e;
  }
  NV_FAILPOINT(kAfterCreate);
  self->created[r->key] = {string_at(*made, {"metadata", "uid"}), self->ctx.clock.now() + kEcho};
  log::info("created instance {}", r->key);
  instance_created(self->ctx, r->object);
  co_return Result<void>();
}

template <class Impl>
Awaitable<Result<void>> delete_instance(Ptr<Impl> self, typename Impl::Round* r) {
  client::DeleteOptions options;
  options.uid = r->instance->uid;
  options.propagation = "Background";
  NV_FAILPOINT(kBeforeDelete);
  auto done = co_await self->ctx.client.remove(kVirtualMachineInstances, r->machine.ns, r->machine.name, options);
  if (!done.ok() && !k8s::is_not_found(done.error())) {
    if (!k8s::is_conflict(done.error())) instance_delete_failed(self->ctx, r->object, done.error());
    co_return done.error().with_context("delete instance " + r->key);
  }
  NV_FAILPOINT(kAfterDelete);
  self->deleted[r->key] = {r->instance->uid, self->ctx.clock.now() + kEcho};
  log::info("deleted instance {}", r->key);
  instance_deleted(self->ctx, r->object, r->instance->uid);
  co_return Result<void>();
}

template <class Impl>
Awaitable<Result<void>> adopt_instance(Ptr<Impl> self, typename Impl::Round* r) {
  auto built = build_instance(r->object, false, self->ctx.clock.wall());
  if (!built.ok()) co_return built.error();
  Json owner = (*built)["metadata"]["ownerReferences"][0];
  Json patch = Json::array();
  patch.push_back(uid_test(*r->instance_object));
  const Json* owners = find(*r->instance_object, {"metadata", "ownerReferences"});
  Json all = owners && owners->is_array() ? *owners : Json::array();
  patch.push_back(Json{{"op", "test"}, {"path", "/metadata/ownerReferences"}, {"value", owners ? *owners : Json()}});
  all.push_back(owner);
  patch.push_back(Json{{"op", "add"}, {"path", "/metadata/ownerReferences"}, {"value", all}});
  auto done = co_await self->ctx.client.patch(kVirtualMachineInstances, r->machine.ns, r->machine.name, PatchType::Json, patch);
  if (!done.ok()) co_return done.error().with_context("adopt instance " + r->key);
  instance_adopted(self->ctx, r->object);
  co_return Result<void>();
}

// Halted, and a start is asked for: the spec itself says Always from now on.
template <class Impl>
Awaitable<Result<void>> switch_on(Ptr<Impl> self, typename Impl::Round* r) {
  Json patch = Json::array();
  patch.push_back(uid_test(r->object));
  const char* path = r->machine.by_running ? "/spec/running" : "/spec/runStrategy";
  Json value = r->machine.by_running ? Json(true) : Json("Always");
  const Json* before = find(r->object, {"spec", r->machine.by_running ? "running" : "runStrategy"});
  patch.push_back(Json{{"op", "test"}, {"path", path}, {"value", before ? *before : Json()}});
  patch.push_back(Json{{"op", "add"}, {"path", path}, {"value", value}});
  auto done = co_await self->ctx.client.patch(kVirtualMachines, r->machine.ns, r->machine.name, PatchType::Json, patch);
  if (!done.ok()) co_return done.error().with_context("switch on VirtualMachine " + r->key);
  co_return Result<void>();
}

template <class Impl>
Awaitable<Result<void>> take_step(Ptr<Impl> self, typename Impl::Round* r) {
  switch (r->plan.step) {
    case Step::None: break;
    case Step::Adopt: co_return co_await adopt_instance(self, r);
    case Step::Create: co_return co_await create_instance(self, r);
    case Step::Delete: co_return co_await delete_instance(self, r);
    case Step::SwitchOn: co_return co_await switch_on(self, r);
    case Step::RemoveFinalizer: co_return co_await change_finalizer(self, r, false);
  }
  co_return Result<void>();
}

template <class Impl>
Awaitable<Result<void>> patch_own_instance(Ptr<Impl> self, typename Impl::Round* r, Json patch, const char* what) {
  auto written = co_await self->ctx.client.patch(kVirtualMachineInstances, r->machine.ns, r->machine.name, PatchType::Json, std::move(patch));
  if (!written.ok()) co_return written.error().with_context(std::string(what) + " of instance " + r->key);
  r->instance_object = std::move(*written);
  r->instance = Instance::of(*r->instance_object);
  co_return Result<void>();
}

bool runs(const Json& instance) { return string_at(instance, {"status", "phase"}) == "Running"; }

// Moves the guest to other claims: what is agreed on is recorded, then the instance told.
template <class Impl>
Awaitable<Result<void>> update_volumes(Ptr<Impl> self, typename Impl::Round* r) {
  if (!r->own() || r->instance->deleting || r->machine.deleting || !runs(*r->instance_object)) co_return Result<void>();
  for (int rounds = 0; rounds < 2; ++rounds) {
    VolumesPlan p = self->plan_volumes_of(*r);
    r->moving = p.moving;
    r->restart_reason = p.refused;
    if (p.step == VolumesPlan::Step::None) co_return Result<void>();
    if (p.step == VolumesPlan::Step::Record) {
      auto recorded = co_await write_status(self, r);
      if (!recorded.ok()) co_return recorded.error();
      continue;
    }
    NV_FAILPOINT(kBeforeVolumes);
    Json patch = std::move(p.patch);
    auto patched = co_await patch_own_instance(self, r, std::move(patch), "change the volumes");
    if (!patched.ok()) co_return patched.error();
    NV_FAILPOINT(kAfterVolumes);
    if (p.step == VolumesPlan::Step::Begin) volumes_move(self->ctx, r->object, p.moving);
    if (p.step == VolumesPlan::Step::TakeBack) volumes_stay(self->ctx, r->object);
    co_return Result<void>();
  }
  co_return Result<void>();
}

// Whether the template was changed since the instance was made from it, in more than can be changed while it runs;
// keeps the instance's generation in step where nothing of the template was.
template <class Impl>
Awaitable<Result<void>> compare_template(Ptr<Impl> self, typename Impl::Round* r) {
  if (!r->own() || r->instance->deleting || r->instance->final() || r->machine.deleting) co_return Result<void>();
  if (r->instance->generation == r->machine.generation) {
    // Not when only the generation was moved on: the instance still names its older revision.
    if (r->instance->revision != revision_name(r->machine.uid, r->machine.generation)) co_return Result<void>();
    auto remembered = co_await self->revisions.remember(r->object);
    co_return remembered;
  }
  if (r->instance->revision.empty()) co_return Result<void>();
  auto spec = co_await self->revisions.spec_of(r->machine.ns, r->instance->revision);
  if (!spec.ok()) {
    if (k8s::is_not_found(spec.error())) co_return Result<void>();
    co_return spec.error();
  }
  LiveUpdate update = compare_with_running(r->object, *spec, *r->instance_object);
  r->restart_required = update.restart_required;
  if (!update.patch.empty()) {
    Json patch = std::move(update.patch);
    auto patched = co_await patch_own_instance(self, r, std::move(patch), "change the placement");
    if (!patched.ok() && !k8s::is_not_found(patched.error())) co_return patched.error();
  }
  if (!update.same_template) co_return Result<void>();
  Json patch = Json::array();
  patch.push_back(uid_test(*r->instance_object));
  add_metadata_entry(patch, *r->instance_object, "annotations", api::kVmGenerationAnnotation, std::to_string(r->machine.generation));
  auto done = co_await self->ctx.client.patch(kVirtualMachineInstances, r->machine.ns, r->machine.name, PatchType::Json, patch);
  if (!done.ok() && !k8s::is_not_found(done.error())) co_return done.error();
  co_return Result<void>();
}

template <class Impl>
Awaitable<Result<Action>> reconcile(Ptr<Impl> self, std::string key) {
  auto cached = self->ctx.machines.get(key);
  if (!cached) {
    self->created.erase(key);
    self->deleted.erase(key);
    co_return Action{};
  }
  typename Impl::Round r;
  r.key = key;
  r.object = cached->json();
  self->look(r);

  std::optional<Error> first_error;
  if (r.plan.add_finalizer) {
    auto added = co_await change_finalizer(self, &r, true);
    if (!added.ok()) co_return added.error();
  }
  if (r.plan.record_first || r.plan.request_start) {
    auto recorded = co_await write_status(self, &r);
    if (!recorded.ok()) co_return recorded.error();
    r.plan.request_start = false;
  }
  auto stepped = co_await take_step(self, &r);
  if (!stepped.ok()) first_error = stepped.error();
  if (r.plan.step == Step::RemoveFinalizer && stepped.ok()) co_return Action{};
  // What else is to be written (status, revision) waits until the watch shows the instance, and does not stand
  // in the way of its pod.
  if (r.plan.step == Step::Create && stepped.ok()) co_return Action{kEcho};

  auto moved = co_await update_volumes(self, &r);
  if (!moved.ok() && !first_error) first_error = moved.error();
  auto compared = co_await compare_template(self, &r);
  if (!compared.ok() && !first_error) first_error = compared.error();
  // What a watch event will mend by itself is no failure of the machine's.
  if (first_error && !k8s::is_conflict(*first_error) && !k8s::is_failed_test(*first_error) && first_error->reason != "AlreadyExists" &&
      first_error->code != Code::Unavailable)
    r.failure = first_error;
  auto written = co_await write_status(self, &r);
  if (first_error) co_return *first_error;
  if (!written.ok()) {
    if (k8s::is_not_found(written.error())) co_return Action{};
    co_return written.error();
  }
  co_return Action{r.plan.again};
}

}  // namespace

VmController::VmController(Context& context) : impl_(std::make_shared<Impl>(context)) {
  std::weak_ptr<Impl> weak = impl_;
  runtime::Controller::Reconcile fn = [weak](std::string key) -> Awaitable<Result<Action>> { return reconcile(weak.lock(), std::move(key)); };
  impl_->queue = std::make_unique<runtime::Controller>(context.clock, runtime::Controller::Options{.name = "vm"}, std::move(fn));
  auto enqueue = [weak](const KubevirtInformer::Ptr& old, const KubevirtInformer::Ptr& now) {
    // An instance has its machine's name, so its key is the machine's.
    if (auto impl = weak.lock()) impl->queue->enqueue((now ? now : old)->meta.key());
  };
  context.machines.on_change(enqueue);
  context.instances.on_change(enqueue);
  context.claims.on_change([weak](const ClaimInformer::Ptr& old, const ClaimInformer::Ptr& now) {
    auto impl = weak.lock();
    if (!impl || (old && now && old->phase == now->phase)) return;
    for (const auto& m : impl->ctx.machines.by_index("claim", (now ? now : old)->meta.key())) impl->queue->enqueue(m->meta.key());
  });
}

VmController::~VmController() = default;

Awaitable<void> VmController::run(StopToken stop) {
  auto impl = impl_;
  co_await impl->queue->run(stop);
}

bool VmController::idle() const { return impl_->queue->idle(); }

}  // namespace nodevirt::virt_controller::vm
