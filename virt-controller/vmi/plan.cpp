#include "virt-controller/vmi/plan.hpp"

#include <algorithm>

namespace nodevirt::virt_controller::vmi {

namespace {

// Pods of an instance that needs them no more: delete them, then let the instance go.
Plan wind_up(const Observation& seen) {
  if (seen.fenced()) return {Step::ForcePods, {}};
  if (seen.never_armed && !seen.fence_left && !seen.pods.empty()) return {Step::ForcePods, {}};
  if (seen.stranded) return {Step::DropPods, {}};
  for (const auto& pod : seen.pods)
    if (!pod->deleting()) return {Step::DeletePods, seen.fence_left};
  if (!seen.pods.empty()) return {Step::None, seen.fence_left ? seen.fence_left : seen.node.empty() ? std::optional(kLookAtNode) : std::nullopt};  // their end wakes us
  if (seen.deleting && seen.finalized) return {Step::RemoveFinalizer, {}};
  return {};
}

}  // namespace

PodInformer::Ptr Observation::pod() const {
  PodInformer::Ptr best;
  bool moved = std::any_of(pods.begin(), pods.end(), [](const auto& p) { return !p->migration_uid.empty(); });
  for (const auto& p : pods) {
    if (moved && !node.empty() && p->node != node) continue;
    if (!best || (best->ended() && !p->ended())) best = p;
    else if (best->deleting() && !best->ended() && !p->deleting() && !p->ended()) best = p;  // the guest left that one earlier
  }
  return best;
}

Plan plan(const Observation& seen) {
  if (seen.final()) return wind_up(seen);
  if (seen.handed_over()) {
    // The guest is virt-handler's. Only when its pod is gone or has ended without a word do we step in.
    auto pod = seen.pod();
    if (pod && !pod->ended()) {
      if (seen.fenced() || seen.given_up()) return {Step::Fence, {}};
      return {Step::None, seen.fence_left ? seen.fence_left : seen.unarmed_left};
    }
    if (seen.migrating) return {};  // the two virt-handlers say how it ends
    if (!pod) return {Step::ConfirmPodGone, kHandlerSilence};
    return {Step::None, kHandlerSilence};
  }
  if (seen.deleting) {
    // Never handed over: no domain was ever started.
    if (seen.pod_pending && seen.pods.empty()) return {Step::ConfirmPodGone, std::chrono::seconds(1)};
    return wind_up(seen);
  }
  if (seen.phase.empty() || !seen.finalized) return {Step::Initialize, {}};
  if (!seen.pods.empty()) return {Step::None, kLookAtNode};
  if (seen.phase == "Pending") {
    if (!seen.missing_claim.empty()) return {};  // the claim's appearance wakes us
    if (seen.pod_pending) return {};
    return {Step::CreatePod, {}};
  }
  if (seen.phase == "Scheduling" && !seen.pod_pending) return {Step::ConfirmPodGone, {}};
  return {};
}

}  // namespace nodevirt::virt_controller::vmi
