// What the plan asks for.
#include "api/names.hpp"
#include "pkg/base/failpoint.hpp"
#include "pkg/base/log.hpp"
#include "pkg/k8s/status.hpp"
#include "virt-controller/status_patch.hpp"
#include "virt-controller/vm/volumes.hpp"
#include "virt-controller/vmi/controller_impl.hpp"
#include "virt-controller/vmi/status.hpp"

namespace nodevirt::virt_controller::vmi {

namespace {

using client::PatchType;
using k8s::resources::kPods;
using k8s::resources::kVirtualMachineInstances;

NV_DECLARE_FAILPOINT(kBeforePod, "virt-controller.vmi-before-pod");
NV_DECLARE_FAILPOINT(kAfterPod, "virt-controller.vmi-after-pod");
NV_DECLARE_FAILPOINT(kBeforeRelease, "virt-controller.vmi-before-release");

constexpr auto kEcho = std::chrono::seconds(10);

}  // namespace

Awaitable<Result<void>> VmiController::Impl::initialize(Round* r) {
  Json status = r->object.contains("status") && r->object["status"].is_object() ? r->object["status"] : Json::object();
  if (r->seen.phase.empty()) enter_phase(status, "Pending", ctx.clock.wall());
  Json patch = status_patch(r->object, status);
  if (patch.empty()) patch.push_back(uid_test(r->object));
  add_finalizer(patch, r->object, api::kVmiFinalizer);
  auto written = co_await ctx.client.patch(kVirtualMachineInstances, r->ns, r->name, PatchType::Json, patch);
  if (!written.ok()) co_return written.error().with_context("take up instance " + r->key);
  r->object = std::move(*written);
  look(*r);
  co_return Result<void>();
}

Awaitable<Result<void>> VmiController::Impl::create_pod(Round* r) {
  auto view = api::decode_instance(r->object);
  if (!view.ok()) co_return Error(Code::InvalidArgument, "FailedCreate", view.error().message);
  auto pod = render_pod(r->object, *view, pod_options(*r));
  if (!pod.ok()) co_return pod.error();
  NV_FAILPOINT(kBeforePod);
  auto made = co_await ctx.client.create(kPods, r->ns, std::move(*pod));
  if (!made.ok()) {
    Error e = made.error();
    if (k8s::is_already_exists(e)) {
      // Its name carries the instance's uid: it is ours, made before a restart or not yet shown by the watch.
      created[r->key] = {r->uid, ctx.clock.now() + kEcho};
      r->seen.pod_pending = true;
      co_return Result<void>();
    }
    if (e.code != Code::Unavailable && e.code != Code::DeadlineExceeded) e.reason = "FailedCreate";
    co_return e.with_context("create the launcher pod");
  }
  NV_FAILPOINT(kAfterPod);
  created[r->key] = {r->uid, ctx.clock.now() + kEcho};
  r->seen.pod_pending = true;
  log::info("created pod {} of instance {}", pod_name(r->name, r->uid), r->key);
  std::string text = "Created virtual machine pod " + pod_name(r->name, r->uid);
  ctx.events.event(reference_to(r->object), "Normal", "SuccessfulCreate", text);
  co_return Result<void>();
}

Awaitable<Result<void>> VmiController::Impl::delete_pods(Round* r) {
  auto pods = r->seen.pods;
  for (const auto& pod : pods) {
    if (pod->deleting()) continue;
    client::DeleteOptions options;
    options.uid = pod->meta.uid;
    std::string name = pod->meta.name;
    auto done = co_await ctx.client.remove(kPods, r->ns, name, options);
    if (!done.ok() && !k8s::is_not_found(done.error())) {
      if (!k8s::is_conflict(done.error()) && done.error().code != Code::Unavailable)
        ctx.events.event(reference_to(r->object), "Warning", "FailedDelete", "Failed to delete virtual machine pod " + name);
      co_return done.error().with_context("delete pod " + name);
    }
    ctx.events.event(reference_to(r->object), "Normal", "SuccessfulDelete", "Deleted virtual machine pod " + name);
  }
  co_return Result<void>();
}

// The cache may lag behind; only the server knows that there is no pod.
Awaitable<Result<bool>> VmiController::Impl::pod_is_gone(Round* r) {
  client::ListOptions options;
  options.label_selector = std::string(api::kCreatedByLabel) + "=" + r->uid;
  auto pods = co_await ctx.client.list(kPods, r->ns, options);
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
Awaitable<Result<bool>> VmiController::Impl::machine_needs_it(Round* r) {
  if (!find(r->object, {"status", "migratedVolumes"})) co_return false;  // nothing ever moved
  auto machine = co_await ctx.client.get(k8s::resources::kVirtualMachines, r->ns, r->name);
  if (!machine.ok() && k8s::is_not_found(machine.error())) co_return false;
  if (!machine.ok()) co_return machine.error().with_context("read VirtualMachine " + r->key);
  bool owner = string_at(*machine, {"metadata", "uid"}) == controller_of(r->object);
  co_return owner && string_at(*machine, {"metadata", "deletionTimestamp"}).empty() && vm::awaits_judgement(*machine);
}

Awaitable<Result<void>> VmiController::Impl::remove_instance_finalizer(Round* r) {
  auto gone = co_await pod_is_gone(r);
  if (!gone.ok()) co_return gone.error();
  if (!*gone) co_return Result<void>();  // the watch will show it
  auto needed = co_await machine_needs_it(r);
  if (!needed.ok()) co_return needed.error();
  if (*needed) {
    r->plan = {Step::None, std::chrono::seconds(1)};
    co_return Result<void>();
  }
  Json patch = Json::array();
  patch.push_back(uid_test(r->object));
  remove_finalizer(patch, r->object, api::kVmiFinalizer);
  NV_FAILPOINT(kBeforeRelease);
  auto done = co_await ctx.client.patch(kVirtualMachineInstances, r->ns, r->name, PatchType::Json, patch);
  if (!done.ok() && !k8s::is_not_found(done.error())) co_return done.error().with_context("release instance " + r->key);
  log::info("released instance {}", r->key);
  created.erase(r->key);
  co_return Result<void>();
}

Awaitable<Result<void>> VmiController::Impl::take_step(Round* r) {
  switch (r->plan.step) {
    case Step::None: break;
    case Step::Initialize: {
      auto done = co_await initialize(r);
      if (!done.ok()) co_return done.error();
      if (r->plan.step == Step::CreatePod) co_return co_await create_pod(r);
      break;
    }
    case Step::CreatePod: co_return co_await create_pod(r);
    case Step::DeletePods: co_return co_await delete_pods(r);
    case Step::Fence: co_return co_await fence(r);
    case Step::ForcePods: co_return co_await force_pods(r);
    case Step::DropPods: co_return co_await drop_pods(r);
    case Step::RemoveFinalizer: co_return co_await remove_instance_finalizer(r);
    case Step::ConfirmPodGone: {
      auto gone = co_await pod_is_gone(r);
      if (!gone.ok()) co_return gone.error();
      r->pod_confirmed_gone = *gone;
      if (*gone) created.erase(r->key);
      break;
    }
  }
  co_return Result<void>();
}

}  // namespace nodevirt::virt_controller::vmi
