// The steps that the plan asks for: one request to the API server each.
#include "api/names.hpp"
#include "pkg/base/failpoint.hpp"
#include "pkg/base/log.hpp"
#include "pkg/k8s/status.hpp"
#include "virt-controller/migration/controller_impl.hpp"
#include "virt-controller/migration/settings.hpp"
#include "virt-controller/migration/status.hpp"
#include "virt-controller/migration/target_pod.hpp"
#include "virt-controller/status_patch.hpp"

namespace nodevirt::virt_controller::migration {

using client::PatchType;
using k8s::resources::kPods;
using k8s::resources::kVirtualMachineInstanceMigrations;
using k8s::resources::kVirtualMachineInstances;

NV_DECLARE_FAILPOINT(kBeforeTarget, "virt-controller.migration-before-target-pod");
NV_DECLARE_FAILPOINT(kAfterTarget, "virt-controller.migration-after-target-pod");
NV_DECLARE_FAILPOINT(kBeforeHandOver, "virt-controller.migration-before-hand-over");
NV_DECLARE_FAILPOINT(kAfterHandOver, "virt-controller.migration-after-hand-over");
NV_DECLARE_FAILPOINT(kBeforeSource, "virt-controller.migration-before-source-pod-deleted");
NV_DECLARE_FAILPOINT(kBeforeRelease, "virt-controller.migration-before-release");

vmi::PodOptions MigrationController::Impl::pod_options(const Round& r) const {
  vmi::PodOptions o{ctx.options.launcher_image, ctx.options.launcher_uid, ctx.options.capability_cache_dir, {}};
  if (const Json* spec = find(*r.instance, {"spec"}))
    for (const auto& name : claims_of(*spec))
      if (auto claim = ctx.claims.get(r.ns + "/" + name); claim && claim->block) o.block_claims.insert(name);
  return o;
}

void MigrationController::Impl::tell(const Round& r, const char* type, const char* reason, std::string message) {
  ctx.events.event(reference_to(r.object), type, reason, message);
  if (r.instance) ctx.events.event(reference_to(*r.instance), type, reason, "Migration " + r.name + ": " + message);
}

Awaitable<Result<void>> MigrationController::Impl::initialize(Round* r) {
  Json patch = Json::array();
  patch.push_back(uid_test(r->object));
  add_finalizer(patch, r->object, api::kMigrationFinalizer);
  add_metadata_entry(patch, r->object, "labels", api::kMigrationSelectorLabel, vmi::label_value(r->cached->vmi_name));
  if (patch.size() == 1) co_return Result<void>();
  auto written = co_await ctx.client.patch(kVirtualMachineInstanceMigrations, r->ns, r->name, PatchType::Json, patch);
  if (!written.ok()) co_return written.error().with_context("take up migration " + r->key);
  r->object = std::move(*written);
  co_return Result<void>();
}

Awaitable<Result<void>> MigrationController::Impl::create_target(Round* r) {
  auto view = api::decode_instance(*r->instance);
  if (!view.ok()) co_return Error(Code::InvalidArgument, "FailedCreate", view.error().message);
  auto node = ctx.nodes.get(r->seen.instance_node);
  const k8s::Labels none;
  TargetInput in{*r->instance, *view, r->object, node ? node->meta.labels : none, r->seen.instance_node};
  auto pod = render_target_pod(in, pod_options(*r));
  if (!pod.ok()) co_return pod.error();
  std::string name = string_at(*pod, {"metadata", "name"});
  NV_FAILPOINT(kBeforeTarget);
  auto made = co_await ctx.client.create(kPods, r->ns, std::move(*pod));
  if (!made.ok() && !k8s::is_already_exists(made.error())) co_return made.error().with_context("create the target pod");
  NV_FAILPOINT(kAfterTarget);
  this->made[r->uid] = ctx.clock.now() + kEcho;
  r->seen.target_pending = true;
  if (made.ok()) {
    log::info("migration {}: created target pod {}", r->key, name);
    tell(*r, "Normal", "SuccessfulCreate", "Created migration target pod " + name);
  }
  co_return Result<void>();
}

Awaitable<Result<void>> MigrationController::Impl::patch_instance(Round* r, Json patch, const char* what) {
  auto written = co_await ctx.client.patch(kVirtualMachineInstances, r->ns, r->cached->vmi_name, PatchType::Json, std::move(patch));
  if (!written.ok()) co_return written.error().with_context(std::string(what) + " migration " + r->key);
  r->instance = std::move(*written);
  r->seen.state = handed_over(*r->instance, r->uid);
  co_return Result<void>();
}

Awaitable<Result<void>> MigrationController::Impl::hand_over(Round* r) {
  auto source = source_pod(*r);
  if (!source) co_return Error(Code::Unavailable, "", "the pod of instance " + r->cached->instance_key() + " is not known");
  auto labels = ctx.instances.get(r->cached->instance_key());
  const api::LabelMap none;
  HandOverInput in{*r->instance, r->object, r->seen.target, source->meta.name,
                   configuration_of(caches, *r->cached, labels ? labels->meta.labels : none)};
  Json patch = hand_over_patch(in);
  NV_FAILPOINT(kBeforeHandOver);
  auto done = co_await patch_instance(r, std::move(patch), "hand over");
  if (!done.ok()) co_return done.error();
  NV_FAILPOINT(kAfterHandOver);
  log::info("migration {}: handed over, {} to {}", r->key, r->seen.instance_node, r->seen.target->node);
  tell(*r, "Normal", "PreparingTarget",
             fmt::format("VirtualMachineInstance is migrating from node {} to node {}", r->seen.instance_node, r->seen.target->node));
  co_return Result<void>();
}

// Only the server knows whether it was handed over, and whether it has begun meanwhile.
Awaitable<Result<void>> MigrationController::Impl::take_back(Round* r) {
  auto now = co_await ctx.client.get(kVirtualMachineInstances, r->ns, r->cached->vmi_name);
  if (!now.ok() && k8s::is_not_found(now.error())) co_return Result<void>();
  if (!now.ok()) co_return now.error();
  HandedOver have = handed_over(*now, r->uid);
  if (!have.ours || have.failed) co_return Result<void>();
  if (have.started || have.completed) {
    r->done = false;  // the watch brings it
    r->plan.again = std::chrono::seconds(1);
    co_return Result<void>();
  }
  Json patch = take_back_patch(*now, r->uid, r->plan.reason, r->seen.deleting, ctx.clock.wall());
  auto done = co_await patch_instance(r, std::move(patch), "take back");
  co_return done;
}

Awaitable<Result<void>> MigrationController::Impl::delete_pod(Round* r, PodInformer::Ptr pod, const char* which) {
  client::DeleteOptions options;
  options.uid = pod->meta.uid;
  std::string name = pod->meta.name;
  auto done = co_await ctx.client.remove(kPods, r->ns, name, options);
  if (!done.ok() && !k8s::is_not_found(done.error())) co_return done.error().with_context("delete pod " + name);
  log::info("migration {}: deleted {} pod {}", r->key, which, name);
  tell(*r, "Normal", "SuccessfulDelete", fmt::format("Deleted migration {} pod {}", which, name));
  co_return Result<void>();
}

Awaitable<Result<void>> MigrationController::Impl::release(Round* r) {
  Json patch = Json::array();
  patch.push_back(uid_test(r->object));
  remove_finalizer(patch, r->object, api::kMigrationFinalizer);
  NV_FAILPOINT(kBeforeRelease);
  auto done = co_await ctx.client.patch(kVirtualMachineInstanceMigrations, r->ns, r->name, PatchType::Json, patch);
  if (!done.ok() && !k8s::is_not_found(done.error())) co_return done.error().with_context("release migration " + r->key);
  if (done.ok()) r->object = std::move(*done);
  co_return Result<void>();
}

Awaitable<Result<void>> MigrationController::Impl::take_step(Round* r) {
  switch (r->plan.step) {
    case Step::None: break;
    case Step::Initialize: co_return co_await initialize(r);
    case Step::CreateTarget: co_return co_await create_target(r);
    case Step::HandOver: co_return co_await hand_over(r);
    case Step::RequestAbort: {
      Json patch = abort_patch(*r->instance, r->uid);
      co_return co_await patch_instance(r, std::move(patch), "cancel");
    }
    case Step::TakeBack: co_return co_await take_back(r);
    case Step::DeleteTarget: co_return co_await delete_pod(r, r->seen.target, "target");
    case Step::DeleteSource: {
      NV_FAILPOINT(kBeforeSource);
      co_return co_await delete_pod(r, r->seen.source, "source");
    }
    case Step::ClearLabel: {
      Json patch = clear_label_patch(*r->instance, r->uid);
      co_return co_await patch_instance(r, std::move(patch), "clear the label of");
    }
    case Step::RemoveFinalizer: co_return co_await release(r);
  }
  co_return Result<void>();
}

}  // namespace nodevirt::virt_controller::migration
