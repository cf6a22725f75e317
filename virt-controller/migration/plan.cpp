#include "virt-controller/migration/plan.hpp"

#include <algorithm>

#include <fmt/format.h>

namespace nodevirt::virt_controller::migration {

namespace {

bool target_made(const std::string& phase) { return phase != "Pending"; }
bool may_be_handed_over(const std::string& phase) {
  return phase == "Scheduled" || phase == "PreparingTarget" || phase == "TargetReady" || phase == "Running";
}

// Where the instance may have been handed over already, the state there has to say that it has ended as well.
Plan fail(const Observation& seen, std::string reason) {
  return {may_be_handed_over(seen.phase) ? Step::TakeBack : Step::None, "Failed", std::move(reason), {}};
}

Plan clean_up(const Observation& seen) {
  bool serves = seen.target && !seen.instance_node.empty() && seen.target->node == seen.instance_node;
  if (seen.phase == "Failed" && seen.target && !seen.target->deleting() && !serves) return {Step::DeleteTarget};
  if (seen.phase == "Succeeded" && seen.source && !seen.source->deleting()) return {Step::DeleteSource, "", "", std::chrono::milliseconds(200)};
  // virt-handler on the target's node finds the instance by it, until nothing is left there.
  bool target_left = seen.phase == "Failed" && seen.target && !serves;
  if (seen.label_left && !target_left) return {Step::ClearLabel};
  if (seen.label_left) return {};
  if (seen.finalized) return {Step::RemoveFinalizer};
  return {};
}

Plan look_at_target(const Observation& seen) {
  if (!seen.target) {
    if (seen.target_pending || seen.in_phase < kEcho) return {Step::None, "", "", kEcho};
    return fail(seen, "the target pod was removed");
  }
  if (seen.target->ended()) {
    std::string why = seen.target->reason.empty() ? seen.target->message : seen.target->reason + ": " + seen.target->message;
    return fail(seen, "the target pod ended" + (why.empty() ? "" : ": " + why));
  }
  if (seen.target->deleting()) return fail(seen, "the target pod is being deleted");
  return {};
}

Plan pending(const Observation& seen) {
  if (seen.rival || seen.other_under_way)
    return fail(seen, "VMI is not eligible for migration because another migration job is in progress.");
  if (seen.instance_deleting) return fail(seen, "the instance is being deleted");
  if (seen.refused) return fail(seen, "Cannot migrate VMI, " + seen.refusal);
  if (!seen.instance_runs() || !seen.turn) return {};  // the instance, or the queue, wakes us
  return {Step::CreateTarget, "Scheduling", "", {}};
}

Plan scheduling(const Observation& seen) {
  if (seen.instance_deleting) return fail(seen, "the instance is being deleted");
  const auto& pod = *seen.target;
  if (pod.phase == "Running" && pod.compute_running && !pod.node.empty()) {
    if (pod.node == seen.instance_node) return fail(seen, "the target pod was placed on the source's node");
    return {Step::None, "Scheduled", "", {}};
  }
  const api::Condition* placed = pod.condition("PodScheduled");
  bool unschedulable = placed && placed->status == "False" && placed->reason == "Unschedulable";
  auto limit = unschedulable ? std::min(seen.unschedulable_limit, seen.pending_limit) : seen.pending_limit;
  if (seen.in_phase < limit) return {Step::None, "", "", limit - seen.in_phase};
  auto seconds = std::chrono::duration_cast<std::chrono::seconds>(limit).count();
  std::string obstacle = seen.obstacle.empty() ? "" : "; " + seen.obstacle;
  if (unschedulable) return fail(seen, fmt::format("no node takes the target pod since {} s: {}{}", seconds, placed->message, obstacle));
  std::string why = pod.waiting_reason.empty() ? "" : fmt::format(": {}: {}", pod.waiting_reason, pod.waiting_message);
  return fail(seen, fmt::format("the target pod does not run after {} s{}", seconds, why));
}

Plan wait_for(const Observation& seen, bool reached, const char* next, const char* what) {
  if (reached) return {Step::None, next, "", {}};
  if (seen.in_phase >= kPrepareLimit)
    return fail(seen, fmt::format("{} for {} s", what, std::chrono::seconds(kPrepareLimit).count()));
  return {Step::None, "", "", kPrepareLimit - seen.in_phase};
}

Plan cancel(const Observation& seen) {
  if (!may_be_handed_over(seen.phase)) return fail(seen, "Migration failed due to being canceled");
  if (!seen.state.ours || !seen.state.started) return fail(seen, "Migration failed due to being canceled");
  if (!seen.state.abort_requested) return {Step::RequestAbort};
  return {};  // the source says how it ended
}

}  // namespace

Plan plan(const Observation& seen) {
  if (seen.final()) return clean_up(seen);
  if (seen.phase.empty() || !seen.finalized) {
    if (seen.deleting) return seen.finalized ? Plan{Step::None, "Failed", "Migration failed due to being canceled", {}} : Plan{};
    return {Step::Initialize, seen.phase.empty() ? "Pending" : "", "", {}};
  }
  if (!seen.instance) return {Step::None, "Failed", "Migration failed because vmi does not exist.", {}};
  if (seen.state.ours && seen.state.completed && !seen.state.failed) return {Step::None, "Succeeded", "", {}};
  if (seen.state.ours && seen.state.failed)
    return {Step::None, "Failed", seen.state.failure_reason.empty() ? "source node reported migration failed" : seen.state.failure_reason, {}};
  if (seen.instance_final()) return {Step::None, "Failed", "Migration failed vmi shutdown during migration.", {}};
  if (seen.deleting) return cancel(seen);
  if (seen.phase == "Pending") return pending(seen);

  bool begun = seen.state.ours && seen.state.started;
  if (target_made(seen.phase) && !begun) {
    Plan bad = look_at_target(seen);
    if (!bad.phase.empty() || !seen.target) return bad;
  }
  if (seen.phase == "Scheduling") return scheduling(seen);
  if (seen.phase == "Scheduled") {
    if (seen.state.ours) return {Step::None, "PreparingTarget", "", {}};
    if (seen.other_under_way) return fail(seen, "VMI is not eligible for migration because another migration job is in progress.");
    if (!seen.instance_runs() || seen.instance_deleting) return fail(seen, "the instance does not run any more");
    if (seen.outdated_target) return fail(seen, "the instance's volumes were changed since the target pod was made");
    return {Step::HandOver, "PreparingTarget", "", {}};
  }
  if (!seen.state.ours) {
    if (seen.in_phase < kEcho) return {Step::None, "", "", kEcho - seen.in_phase};
    return {Step::None, "Failed", "VMI's migration state was cleared or taken over by another migration job during active migration.", {}};
  }
  if (seen.phase == "PreparingTarget")
    return wait_for(seen, seen.state.target_ready || seen.state.started, "TargetReady", "virt-handler on the target's node did not prepare the target");
  if (seen.phase == "TargetReady")
    return wait_for(seen, seen.state.started, "Running", "virt-handler on the source's node did not begin the migration");
  return {};
}

}  // namespace nodevirt::virt_controller::migration
