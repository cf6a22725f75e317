// Changes of a machine that reach its guest while it runs: volumes that move, placement, generation.
#include "api/names.hpp"
#include "pkg/base/failpoint.hpp"
#include "pkg/k8s/status.hpp"
#include "virt-controller/status_patch.hpp"
#include "virt-controller/vm/controller_impl.hpp"
#include "virt-controller/vm/events.hpp"
#include "virt-controller/vm/instance.hpp"
#include "virt-controller/vm/live_update.hpp"

namespace nodevirt::virt_controller::vm {

using client::PatchType;
using k8s::resources::kVirtualMachineInstances;

NV_DECLARE_FAILPOINT(kBeforeVolumes, "virt-controller.vm-before-volumes");
NV_DECLARE_FAILPOINT(kAfterVolumes, "virt-controller.vm-after-volumes");

namespace {

bool runs(const Json& instance) { return string_at(instance, {"status", "phase"}) == "Running"; }

}  // namespace

VolumesPlan VmController::Impl::plan_volumes_of(const Round& r) const {
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

Awaitable<Result<void>> VmController::Impl::patch_own_instance(Round* r, Json patch, const char* what) {
  auto written = co_await ctx.client.patch(kVirtualMachineInstances, r->machine.ns, r->machine.name, PatchType::Json, std::move(patch));
  if (!written.ok()) co_return written.error().with_context(std::string(what) + " of instance " + r->key);
  r->instance_object = std::move(*written);
  r->instance = Instance::of(*r->instance_object);
  co_return Result<void>();
}

// Moves the guest to other claims: what is agreed on is recorded, then the instance told.
Awaitable<Result<void>> VmController::Impl::update_volumes(Round* r) {
  if (!r->own() || r->instance->deleting || r->machine.deleting || !runs(*r->instance_object)) co_return Result<void>();
  for (int rounds = 0; rounds < 2; ++rounds) {
    VolumesPlan p = plan_volumes_of(*r);
    r->moving = p.moving;
    r->restart_reason = p.refused;
    if (p.step == VolumesPlan::Step::None) co_return Result<void>();
    if (p.step == VolumesPlan::Step::Record) {
      auto recorded = co_await write_status(r);
      if (!recorded.ok()) co_return recorded.error();
      continue;
    }
    NV_FAILPOINT(kBeforeVolumes);
    Json patch = std::move(p.patch);
    auto patched = co_await patch_own_instance(r, std::move(patch), "change the volumes");
    if (!patched.ok()) co_return patched.error();
    NV_FAILPOINT(kAfterVolumes);
    if (p.step == VolumesPlan::Step::Begin) volumes_move(ctx, r->object, p.moving);
    if (p.step == VolumesPlan::Step::TakeBack) volumes_stay(ctx, r->object);
    co_return Result<void>();
  }
  co_return Result<void>();
}

// Whether the template was changed since the instance was made from it, in more than can be changed while it runs;
// keeps the instance's generation in step where nothing of the template was.
Awaitable<Result<void>> VmController::Impl::compare_template(Round* r) {
  if (!r->own() || r->instance->deleting || r->instance->final() || r->machine.deleting) co_return Result<void>();
  if (r->instance->generation == r->machine.generation) {
    // Not when only the generation was moved on: the instance still names its older revision.
    if (r->instance->revision != revision_name(r->machine.uid, r->machine.generation)) co_return Result<void>();
    auto remembered = co_await revisions.remember(r->object);
    co_return remembered;
  }
  if (r->instance->revision.empty()) co_return Result<void>();
  auto spec = co_await revisions.spec_of(r->machine.ns, r->instance->revision);
  if (!spec.ok()) {
    if (k8s::is_not_found(spec.error())) co_return Result<void>();
    co_return spec.error();
  }
  LiveUpdate update = compare_with_running(r->object, *spec, *r->instance_object);
  r->restart_required = update.restart_required;
  if (!update.patch.empty()) {
    Json patch = std::move(update.patch);
    auto patched = co_await patch_own_instance(r, std::move(patch), "change the placement");
    if (!patched.ok() && !k8s::is_not_found(patched.error())) co_return patched.error();
  }
  if (!update.same_template) co_return Result<void>();
  Json patch = Json::array();
  patch.push_back(uid_test(*r->instance_object));
  add_metadata_entry(patch, *r->instance_object, "annotations", api::kVmGenerationAnnotation, std::to_string(r->machine.generation));
  auto done = co_await ctx.client.patch(kVirtualMachineInstances, r->machine.ns, r->machine.name, PatchType::Json, patch);
  if (!done.ok() && !k8s::is_not_found(done.error())) co_return done.error();
  co_return Result<void>();
}

}  // namespace nodevirt::virt_controller::vm
