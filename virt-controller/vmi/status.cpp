#include "virt-controller/vmi/status.hpp"

#include <algorithm>

#include "api/fence.hpp"
#include "api/names.hpp"
#include "virt-controller/status_patch.hpp"

namespace nodevirt::virt_controller::vmi {

namespace {

// Reasons of Synchronized=False that are ours; others are virt-handler's.
bool is_our_reason(const std::string& reason) {
  return reason == "FailedPvcNotFound" || reason == "FailedCreate" || reason == "ErrImagePull" || reason == "ImagePullBackOff" ||
         reason == "PodWaiting" || reason == "FailedMount";
}

struct Writer {
  const StatusInput& in;
  StatusOutcome out;
  const Observation& seen = in.seen;
  PodInformer::Ptr pod = in.seen.pod();

  Json& conditions() { return out.status["conditions"]; }

  void fail(const char* reason, std::string message) {
    enter_phase(out.status, "Failed", in.now);
    out.status["reason"] = reason;
    out.events.push_back({"Warning", "Stopped", "The VirtualMachineInstance failed: " + message});
  }

  void phase() {
    if (seen.final()) return;
    if (seen.handed_over()) return after_hand_over();
    if (seen.phase.empty()) enter_phase(out.status, "Pending", in.now);
    if (seen.deleting) return;
    if (pod && pod->ended()) return fail("PodFailed", pod_end());
    if (seen.stranded && pod && (seen.phase == "Pending" || seen.phase == "Scheduling"))
      return fail("NodeUnresponsive", "node " + pod->node + ", which its launcher pod was placed on, does not answer");
    if (in.pod_confirmed_gone && seen.phase == "Scheduling") return fail("PodGone", "its launcher pod was deleted before the guest was started");
    if (!pod && !seen.pod_pending) return;
    if (seen.phase.empty() || seen.phase == "Pending") {
      enter_phase(out.status, "Scheduling", in.now);
      out.status["runtimeUser"] = in.launcher_uid;
      out.status["launcherContainerImageVersion"] = in.launcher_image;
    }
    if (pod && !pod->deleting() && pod->phase == "Running" && pod->compute_running && !pod->node.empty()) hand_over();
  }

  void hand_over() {
    enter_phase(out.status, "Scheduled", in.now);
    out.status["nodeName"] = pod->node;
    out.status["activePods"][pod->meta.uid] = pod->node;
    out.status["runtimeUser"] = in.launcher_uid;
    if (!pod->qos_class.empty()) out.status["qosClass"] = pod->qos_class;
    out.node_label = pod->node;
    if (auto seconds = api::fence_seconds(runtime::ObjectMeta::from_json(in.object).annotations)) out.fence_at_start = std::to_string(*seconds);
  }

  void after_hand_over() {
    if (in.fenced)
      return fail("FenceDeadlinePassed", "node " + string_at(out.status, {"nodeName"}) +
                                             " did not renew its fence in time: the guest was ended there");
    if (in.never_armed)
      return fail(kNeverArmed, "virt-handler of node " + string_at(out.status, {"nodeName"}) + " has not armed its fence: the guest was not started there");
    note_pods();
    if ((pod && !pod->ended()) || seen.migrating) return;
    bool gone = in.pod_confirmed_gone && !pod;
    if (!gone && !pod) return;
    if (!seen.node_dead && seen.podless < kHandlerSilence) return;
    if (seen.node_dead) fail("NodeUnresponsive", "its launcher pod is gone, and its node does not answer");
    else fail(gone ? "PodGone" : "PodFailed", gone ? "its launcher pod is gone" : pod_end());
  }

  // More than one while it is migrated.
  void note_pods() {
    Json now = Json::object();
    for (const auto& p : seen.pods)
      if (!p->ended() && !p->node.empty()) now[p->meta.uid] = p->node;
    if (!now.empty()) out.status["activePods"] = std::move(now);
  }

  std::string pod_end() const {
    std::string why = pod->reason.empty() ? pod->message : pod->reason + (pod->message.empty() ? "" : ": " + pod->message);
    return "its launcher pod ended" + (why.empty() ? "" : ": " + why);
  }

  void ready() {
    bool running = string_at(out.status, {"phase"}) == "Running";
    const api::Condition* of_pod = pod ? pod->condition("Ready") : nullptr;
    if (seen.handed_over() && seen.node_dead)
      set_condition(conditions(), {"Ready", "False", "NodeUnresponsive", "the node of this instance does not answer"}, in.now);
    else if (!pod && !seen.pod_pending && !seen.final())
      set_condition(conditions(), {"Ready", "False", "PodNotExists", "there is no virt-launcher pod"}, in.now);
    else if (pod && !seen.final() && (pod->deleting() || pod->ended()))
      set_condition(conditions(), {"Ready", "False", "PodTerminating", "virt-launcher pod is terminating"}, in.now);
    else if (!running)
      set_condition(conditions(), {"Ready", "False", "GuestNotRunning", "Guest VM is not reported as running"}, in.now);
    else if (!of_pod)
      set_condition(conditions(), {"Ready", "False", "PodConditionMissing", "the launcher pod has no Ready condition yet"}, in.now);
    else
      set_condition(conditions(), {"Ready", of_pod->status, of_pod->status == "True" ? "" : of_pod->reason,
                                   of_pod->status == "True" ? "" : of_pod->message}, in.now);
  }

  void scheduled() {
    const api::Condition* c = pod ? pod->condition("PodScheduled") : nullptr;
    ConditionText claim = missing_claim();
    if (!claim.type.empty()) set_condition(conditions(), {"PodScheduled", "False", "Unschedulable", claim.message}, in.now);
    else if (c && c->status == "False" && !seen.final()) set_condition(conditions(), {"PodScheduled", "False", c->reason, c->message}, in.now);
    else remove_condition(conditions(), "PodScheduled");
  }

  ConditionText missing_claim() const {
    if (seen.missing_claim.empty() || pod || seen.final() || seen.handed_over() || seen.deleting) return {};
    return {"Synchronized", "False", "FailedPvcNotFound", fmt::format("PersistentVolumeClaim {} is not there", seen.missing_claim)};
  }

  // Why a pod that is there does not run yet; empty when it is only a matter of time.
  ConditionText trouble() const {
    if (seen.final() || seen.handed_over() || seen.deleting) return {};
    if (in.failure) return {"Synchronized", "False", in.failure->reason.empty() ? "FailedCreate" : in.failure->reason, in.failure->message};
    if (ConditionText claim = missing_claim(); !claim.type.empty()) return claim;
    if (pod && !pod->waiting_reason.empty()) {
      const std::string& reason = pod->waiting_reason;
      return {"Synchronized", "False", is_our_reason(reason) ? reason : "PodWaiting",
              is_our_reason(reason) ? pod->waiting_message : reason + ": " + pod->waiting_message};
    }
    return {};
  }

  void synchronized() {
    ConditionText wanted = trouble();
    const Json* before = find_condition(in.object, "Synchronized");
    bool ours = before && is_our_reason(string_at(*before, {"reason"}));
    if (wanted.type.empty()) {
      if (ours) remove_condition(conditions(), "Synchronized");
      return;
    }
    if (!before || string_at(*before, {"reason"}) != wanted.reason || string_at(*before, {"message"}) != wanted.message)
      out.events.push_back({"Warning", wanted.reason, wanted.message});
    set_condition(conditions(), wanted, in.now);
  }
};

// What virt-handler judges by whether the guest may be migrated, and virt-launcher how large a new image is to be.
void note_claims(Json& status, const StatusInput& in) {
  const Json* volumes = find(in.object, {"spec", "volumes"});
  if (in.claims.empty() || !volumes || !volumes->is_array()) return;
  const Json* moved = find(in.object, {"status", "migratedVolumes"});
  auto is_moved = [&](const std::string& volume) {
    return moved && moved->is_array() &&
           std::any_of(moved->begin(), moved->end(), [&](const Json& m) { return string_at(m, {"volumeName"}) == volume; });
  };
  Json list = status.contains("volumeStatus") && status["volumeStatus"].is_array() ? status["volumeStatus"] : Json::array();
  for (const Json& v : *volumes) {
    auto info = in.claims.find(string_at(v, {"persistentVolumeClaim", "claimName"}));
    std::string name = string_at(v, {"name"});
    // Until it has moved, the disk is where it was.
    if (info == in.claims.end() || is_moved(name)) continue;
    auto entry = std::find_if(list.begin(), list.end(), [&](const Json& e) { return string_at(e, {"name"}) == name; });
    if (entry == list.end()) {
      list.push_back(Json{{"name", name}, {"target", ""}});
      entry = std::prev(list.end());
    }
    (*entry)["persistentVolumeClaimInfo"] = info->second;
  }
  std::stable_sort(list.begin(), list.end(), [](const Json& a, const Json& b) { return string_at(a, {"name"}) < string_at(b, {"name"}); });
  if (!list.empty()) status["volumeStatus"] = std::move(list);
}

}  // namespace

StatusOutcome compute_status(const StatusInput& in) {
  Writer w{in, {}};
  const Json* stored = find(in.object, {"status"});
  w.out.status = stored && stored->is_object() ? *stored : Json::object();
  w.phase();
  w.ready();
  w.scheduled();
  w.synchronized();
  std::string phase = string_at(w.out.status, {"phase"});
  if (phase == "Scheduled" || phase == "Running") note_claims(w.out.status, in);
  return std::move(w.out);
}

std::optional<Json> gate_patch(const Json& object, const PodObject& pod, Clock::WallTime now) {
  if (!pod.gated || pod.phase != "Running" || pod.deleting()) return std::nullopt;
  bool paused = condition_is(object, "Paused", "True");
  const api::Condition* have = pod.condition(api::kUnpausedGate);
  std::string status = paused ? "False" : "True";
  if (have && have->status == status) return std::nullopt;
  Json condition = {{"type", std::string(api::kUnpausedGate)}, {"status", status}, {"reason", paused ? "Paused" : "NotPaused"},
                    {"message", paused ? "the virtual machine is paused" : "the virtual machine is not paused"},
                    {"lastProbeTime", nullptr}, {"lastTransitionTime", format_time(now)}};
  Json patch = Json::object();
  patch["metadata"]["uid"] = pod.meta.uid;   // a precondition
  patch["status"]["conditions"] = Json::array({condition});
  return patch;
}

}  // namespace nodevirt::virt_controller::vmi
