// What is written of an instance: its status, and its pod's readiness gate.
#include "api/fence.hpp"
#include "api/names.hpp"
#include "pkg/base/failpoint.hpp"
#include "pkg/base/log.hpp"
#include "pkg/k8s/status.hpp"
#include "virt-controller/status_patch.hpp"
#include "virt-controller/vmi/controller_impl.hpp"
#include "virt-controller/vmi/status.hpp"

namespace nodevirt::virt_controller::vmi {

namespace {

using client::PatchType;
using k8s::resources::kPods;
using k8s::resources::kVirtualMachineInstances;

NV_DECLARE_FAILPOINT(kBeforeStatus, "virt-controller.vmi-before-status");
NV_DECLARE_FAILPOINT(kAfterStatus, "virt-controller.vmi-after-status");

}  // namespace

Awaitable<Result<void>> VmiController::Impl::write_status(Round* r) {
  StatusInput in{.object = r->object, .seen = r->seen, .failure = r->failure, .pod_confirmed_gone = r->pod_confirmed_gone, .fenced = r->fenced,
                 .never_armed = r->never_armed};
  in.launcher_uid = ctx.options.launcher_uid;
  in.launcher_image = ctx.options.launcher_image;
  if (const Json* spec = find(r->object, {"spec"}))
    for (const auto& name : claims_of(*spec))
      if (auto claim = ctx.claims.get(r->ns + "/" + name); claim && claim->bound()) in.claims.emplace(name, claim->info);
  in.now = ctx.clock.wall();
  StatusOutcome out = compute_status(in);
  Json patch = status_patch(r->object, out.status);
  if (!out.node_label.empty()) add_metadata_entry(patch, r->object, "labels", api::kNodeNameLabel, out.node_label);
  if (!out.fence_at_start.empty()) add_metadata_entry(patch, r->object, "annotations", api::kFenceAtStartAnnotation, out.fence_at_start);
  if (patch.empty()) co_return Result<void>();
  NV_FAILPOINT(kBeforeStatus);
  auto written = co_await ctx.client.patch(kVirtualMachineInstances, r->ns, r->name, PatchType::Json, patch);
  if (!written.ok()) co_return written.error().with_context("write status of instance " + r->key);
  NV_FAILPOINT(kAfterStatus);
  std::string now = string_at(out.status, {"phase"});
  if (now != r->seen.phase) log::info("instance {} is {}", r->key, now);
  auto about = reference_to(r->object);
  for (auto& e : out.events) ctx.events.event(about, e.type, e.reason, e.message);
  r->object = std::move(*written);
  co_return Result<void>();
}

Awaitable<Result<void>> VmiController::Impl::open_gate(Round* r) {
  auto pod = r->seen.pod();
  if (!pod || r->seen.final()) co_return Result<void>();
  auto patch = gate_patch(r->object, *pod, ctx.clock.wall());
  if (!patch) co_return Result<void>();
  client::WriteOptions options;
  options.subresource = "status";
  std::string name = pod->meta.name;
  auto done = co_await ctx.client.patch(kPods, r->ns, name, PatchType::StrategicMerge, *patch, options);
  if (!done.ok() && !k8s::is_not_found(done.error())) co_return done.error().with_context("set the readiness gate of pod " + name);
  co_return Result<void>();
}

}  // namespace nodevirt::virt_controller::vmi
