// The machine's status, written where it differs.
#include "pkg/base/failpoint.hpp"
#include "pkg/base/id.hpp"
#include "virt-controller/status_patch.hpp"
#include "virt-controller/vm/controller_impl.hpp"
#include "virt-controller/vm/status.hpp"

namespace nodevirt::virt_controller::vm {

using client::PatchType;
using k8s::resources::kVirtualMachines;

NV_DECLARE_FAILPOINT(kBeforeStatus, "virt-controller.vm-before-status");

namespace {

double random_fraction() {
  unsigned char byte = 0;
  random_bytes(std::span(&byte, 1));
  return byte / 255.0;
}

}  // namespace

bool VmController::Impl::claims_unbound(const Round& r) const {
  const Json* spec = find(r.object, {"spec", "template", "spec"});
  if (!spec) return false;
  for (const auto& name : claims_of(*spec)) {
    auto claim = ctx.claims.get(r.machine.ns + "/" + name);
    if (claim && claim->phase != "Bound") return true;
  }
  return false;
}

Json VmController::Impl::wanted_status(Round& r, bool switched_on) {
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

// Writes status where it differs. The stored object is replaced by the server's answer.
Awaitable<Result<void>> VmController::Impl::write_status(Round* r) {
  Json status = wanted_status(*r, false);
  Json patch = status_patch(r->object, status);
  if (patch.empty()) co_return Result<void>();
  NV_FAILPOINT(kBeforeStatus);
  client::WriteOptions options;
  options.subresource = "status";
  auto written = co_await ctx.client.patch(kVirtualMachines, r->machine.ns, r->machine.name, PatchType::Json, patch, options);
  if (!written.ok()) co_return written.error().with_context("write status of VirtualMachine " + r->key);
  r->object = std::move(*written);
  r->machine = Machine::of(r->object);
  co_return Result<void>();
}

}  // namespace nodevirt::virt_controller::vm
