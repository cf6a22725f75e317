// Pods whose node does not answer: nobody there confirms their end.
#include "pkg/base/log.hpp"
#include "pkg/k8s/status.hpp"
#include "virt-controller/node/unschedulable.hpp"
#include "virt-controller/vmi/controller_impl.hpp"

namespace nodevirt::virt_controller::vmi {

using k8s::resources::kPods;
using k8s::resources::kVirtualMachineInstances;

// What is to be acted on, by the server's word. When that is no the cache is behind: it is looked at again soon.
Awaitable<Result<bool>> VmiController::Impl::confirm_no_guest(Round* r) {
  auto pods = r->seen.pods;
  Result<bool> confirmed = false;
  if (r->seen.fenced()) confirmed = co_await ctx.fences.confirm(std::move(pods));
  else confirmed = co_await ctx.fences.confirm_unarmed(std::move(pods));
  if (confirmed.ok() && !*confirmed) r->plan.again = std::chrono::seconds(1);
  co_return confirmed;
}

// No new guest goes to that node from here on: neither ours, nor anybody's.
Awaitable<Result<void>> VmiController::Impl::fence(Round* r) {
  auto confirmed = co_await confirm_no_guest(r);
  if (!confirmed.ok()) co_return confirmed.error();
  if (!*confirmed) co_return Result<void>();
  auto pods = r->seen.pods;
  for (const auto& pod : pods) {
    if (pod->ended()) continue;
    auto marked = co_await node::mark_unschedulable(&ctx, pod->node);
    if (!marked.ok()) co_return marked.error();
  }
  r->fenced = r->seen.fenced();
  r->never_armed = !r->fenced;
  log::warning("instance {}: {}", r->key, r->fenced ? "the fence deadline passed, its guest is dead" : "its fence was not armed, and no guest started");
  co_return Result<void>();
}

// `how` ends the event's sentence.
Awaitable<Result<void>> VmiController::Impl::remove_pods_at_once(Round* r, std::string how) {
  auto pods = r->seen.pods;
  for (const auto& pod : pods) {
    client::DeleteOptions options;
    options.uid = pod->meta.uid;
    options.grace_period_seconds = 0;
    std::string name = pod->meta.name;
    auto done = co_await ctx.client.remove(kPods, r->ns, name, options);
    if (!done.ok() && !k8s::is_not_found(done.error())) co_return done.error().with_context("delete pod " + name);
    ctx.events.event(reference_to(r->object), "Normal", "SuccessfulDelete", "Deleted virtual machine pod " + name + how);
  }
  co_return Result<void>();
}

// kubelet, or the pod runner, is not there to confirm the end of these pods; the fence has.
Awaitable<Result<void>> VmiController::Impl::force_pods(Round* r) {
  auto confirmed = co_await confirm_no_guest(r);
  if (!confirmed.ok()) co_return confirmed.error();
  if (!*confirmed) co_return Result<void>();
  co_return co_await remove_pods_at_once(r, " without its node");
}

// Only virt-controller hands over, and this instance will not be any more: virt-handler starts nothing in these pods.
Awaitable<Result<void>> VmiController::Impl::drop_pods(Round* r) {
  auto now = co_await ctx.client.get(kVirtualMachineInstances, r->ns, r->name);
  if (!now.ok() && !k8s::is_not_found(now.error())) co_return now.error();
  if (now.ok() && string_at(*now, {"metadata", "uid"}) == r->uid && !string_at(*now, {"status", "nodeName"}).empty()) {
    r->plan.again = std::chrono::seconds(1);  // the cache is behind: the watch brings what it lacks
    co_return Result<void>();
  }
  co_return co_await remove_pods_at_once(r, ": its node does not answer, and nothing was started in it");
}

}  // namespace nodevirt::virt_controller::vmi
