// The steps that the plan asks for: one request to the API server each.
#include "api/names.hpp"
#include "pkg/base/failpoint.hpp"
#include "pkg/base/log.hpp"
#include "pkg/k8s/status.hpp"
#include "virt-controller/status_patch.hpp"
#include "virt-controller/vm/controller_impl.hpp"
#include "virt-controller/vm/events.hpp"
#include "virt-controller/vm/instance.hpp"

namespace nodevirt::virt_controller::vm {

using client::PatchType;
using k8s::resources::kVirtualMachineInstances;
using k8s::resources::kVirtualMachines;

NV_DECLARE_FAILPOINT(kBeforeCreate, "virt-controller.vm-before-create");
NV_DECLARE_FAILPOINT(kAfterCreate, "virt-controller.vm-after-create");
NV_DECLARE_FAILPOINT(kBeforeDelete, "virt-controller.vm-before-delete");
NV_DECLARE_FAILPOINT(kAfterDelete, "virt-controller.vm-after-delete");

Awaitable<Result<void>> VmController::Impl::change_finalizer(Round* r, bool add) {
  Json patch = Json::array();
  patch.push_back(uid_test(r->object));
  if (add) add_finalizer(patch, r->object, api::kVmFinalizer);
  else remove_finalizer(patch, r->object, api::kVmFinalizer);
  if (patch.size() == 1) co_return Result<void>();
  auto written = co_await ctx.client.patch(kVirtualMachines, r->machine.ns, r->machine.name, PatchType::Json, patch);
  if (!written.ok()) {
    if (!add && k8s::is_not_found(written.error())) co_return Result<void>();
    co_return written.error().with_context("change the finalizer of VirtualMachine " + r->key);
  }
  r->object = std::move(*written);
  r->machine = Machine::of(r->object);
  co_return Result<void>();
}

Awaitable<Result<void>> VmController::Impl::create_instance(Round* r) {
  auto instance = build_instance(r->object, r->machine.start_paused(), ctx.clock.wall());
  if (!instance.ok()) co_return instance.error();
  NV_FAILPOINT(kBeforeCreate);
  auto made = co_await ctx.client.create(kVirtualMachineInstances, r->machine.ns, std::move(*instance));
  if (!made.ok()) {
    Error e = made.error();
    // The name is the machine's: an instance that is there already is ours, or the watch will tell whose.
    if (k8s::is_already_exists(e)) co_return Error(Code::Unavailable, "AlreadyExists", e.message);
    instance_create_failed(ctx, r->object, e);
    if (e.reason == "Invalid" || e.reason == "Forbidden" || e.reason == "BadRequest") e.reason = "FailedCreate";
    co_return e;
  }
  NV_FAILPOINT(kAfterCreate);
  created[r->key] = {string_at(*made, {"metadata", "uid"}), ctx.clock.now() + kEcho};
  log::info("created instance {}", r->key);
  instance_created(ctx, r->object);
  co_return Result<void>();
}

Awaitable<Result<void>> VmController::Impl::delete_instance(Round* r) {
  client::DeleteOptions options;
  options.uid = r->instance->uid;
  options.propagation = "Background";
  NV_FAILPOINT(kBeforeDelete);
  auto done = co_await ctx.client.remove(kVirtualMachineInstances, r->machine.ns, r->machine.name, options);
  if (!done.ok() && !k8s::is_not_found(done.error())) {
    if (!k8s::is_conflict(done.error())) instance_delete_failed(ctx, r->object, done.error());
    co_return done.error().with_context("delete instance " + r->key);
  }
  NV_FAILPOINT(kAfterDelete);
  deleted[r->key] = {r->instance->uid, ctx.clock.now() + kEcho};
  log::info("deleted instance {}", r->key);
  instance_deleted(ctx, r->object, r->instance->uid);
  co_return Result<void>();
}

Awaitable<Result<void>> VmController::Impl::adopt_instance(Round* r) {
  auto built = build_instance(r->object, false, ctx.clock.wall());
  if (!built.ok()) co_return built.error();
  Json owner = (*built)["metadata"]["ownerReferences"][0];
  Json patch = Json::array();
  patch.push_back(uid_test(*r->instance_object));
  const Json* owners = find(*r->instance_object, {"metadata", "ownerReferences"});
  Json all = owners && owners->is_array() ? *owners : Json::array();
  patch.push_back(Json{{"op", "test"}, {"path", "/metadata/ownerReferences"}, {"value", owners ? *owners : Json()}});
  all.push_back(owner);
  patch.push_back(Json{{"op", "add"}, {"path", "/metadata/ownerReferences"}, {"value", all}});
  auto done = co_await ctx.client.patch(kVirtualMachineInstances, r->machine.ns, r->machine.name, PatchType::Json, patch);
  if (!done.ok()) co_return done.error().with_context("adopt instance " + r->key);
  instance_adopted(ctx, r->object);
  co_return Result<void>();
}

// Halted, and a start is asked for: the spec itself says Always from now on.
Awaitable<Result<void>> VmController::Impl::switch_on(Round* r) {
  Json patch = Json::array();
  patch.push_back(uid_test(r->object));
  const char* path = r->machine.by_running ? "/spec/running" : "/spec/runStrategy";
  Json value = r->machine.by_running ? Json(true) : Json("Always");
  const Json* before = find(r->object, {"spec", r->machine.by_running ? "running" : "runStrategy"});
  patch.push_back(Json{{"op", "test"}, {"path", path}, {"value", before ? *before : Json()}});
  patch.push_back(Json{{"op", "add"}, {"path", path}, {"value", value}});
  auto done = co_await ctx.client.patch(kVirtualMachines, r->machine.ns, r->machine.name, PatchType::Json, patch);
  if (!done.ok()) co_return done.error().with_context("switch on VirtualMachine " + r->key);
  co_return Result<void>();
}

Awaitable<Result<void>> VmController::Impl::take_step(Round* r) {
  switch (r->plan.step) {
    case Step::None: break;
    case Step::Adopt: co_return co_await adopt_instance(r);
    case Step::Create: co_return co_await create_instance(r);
    case Step::Delete: co_return co_await delete_instance(r);
    case Step::SwitchOn: co_return co_await switch_on(r);
    case Step::RemoveFinalizer: co_return co_await change_finalizer(r, false);
  }
  co_return Result<void>();
}

}  // namespace nodevirt::virt_controller::vm
