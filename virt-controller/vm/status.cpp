#include "virt-controller/vm/status.hpp"

#include "virt-controller/status_patch.hpp"
#include "virt-controller/vm/volumes.hpp"

namespace nodevirt::virt_controller::vm {

namespace {

constexpr std::int64_t kMaxBackoff = 300;

bool is_own(const std::string& type) {
  return type == "Ready" || type == "Failure" || type == "RestartRequired" || type == "VolumesChange" || type == "ManualRecoveryRequired";
}

void copy_condition(Json& conditions, const Json& from) {
  std::string type = string_at(from, {"type"});
  for (auto& c : conditions)
    if (string_at(c, {"type"}) == type) {
      c = from;
      return;
    }
  conditions.push_back(from);
}

void set_ready(Json& conditions, const StatusInput& in) {
  if (!in.instance) {
    set_condition(conditions, {"Ready", "False", "VMINotExists", "VMI does not exist"}, in.now);
  } else if (const Json* ready = find_condition(*in.instance_object, "Ready")) {
    copy_condition(conditions, *ready);
  } else {
    set_condition(conditions, {"Ready", "False", "VMIConditionMissing", "VMI is missing the Ready condition"}, in.now);
  }
}

// Those of the instance are shown on the machine too, and go with it.
void mirror_conditions(Json& conditions, const StatusInput& in) {
  std::set<std::string> mirrored;
  if (const Json* list = in.instance ? find(*in.instance_object, {"status", "conditions"}) : nullptr; list && list->is_array())
    for (const auto& c : *list) {
      std::string type = string_at(c, {"type"});
      if (type.empty() || is_own(type)) continue;
      copy_condition(conditions, c);
      mirrored.insert(std::move(type));
    }
  for (std::size_t i = conditions.size(); i-- > 0;) {
    std::string type = string_at(conditions[i], {"type"});
    if (!is_own(type) && !mirrored.contains(type)) conditions.erase(i);
  }
}

// A copy that goes on is remembered when the instance is gone: only its end says that the new claims hold it all.
void set_volume_update(Json& status, const StatusInput& in) {
  const Json* instance = in.instance ? in.instance_object : nullptr;
  Json moving = in.moving ? *in.moving : instance ? migrated_volumes(*instance) : Json();
  Json& conditions = status["conditions"];
  bool lives = in.instance && !in.instance->final();
  if (lives && !moving.is_null()) {
    status["volumeUpdateState"]["volumeMigrationState"]["migratedVolumes"] = std::move(moving);
    set_condition(conditions, {"VolumesChange", "True", "", "migrate volumes"}, in.now);
    remove_condition(conditions, "ManualRecoveryRequired");
    return;
  }
  bool settled = move_is_settled(in.object), lost = !lives && needs_recovery(in.object);
  if (in.instance && !lives && move_is_open(in.object)) {
    // The instance's last word, while it is there to be read.
    Json left = left_behind(in.object, *instance);
    lost = !left.is_null();
    settled = settled && !lost;
    if (lost) status["volumeUpdateState"]["volumeMigrationState"]["migratedVolumes"] = std::move(left);
  }
  if (settled) status.erase("volumeUpdateState");
  if (!lost) {
    const Json* of_instance = instance ? find_condition(*instance, "VolumesChange") : nullptr;
    if (of_instance && lives) copy_condition(conditions, *of_instance);
    else remove_condition(conditions, "VolumesChange");
    remove_condition(conditions, "ManualRecoveryRequired");
    return;
  }
  set_condition(conditions, {"ManualRecoveryRequired", "True", "VMI was removed or was final during the volume migration",
                             "the guest ended while its volumes were being copied to other claims"}, in.now);
}

void set_conditions(Json& conditions, const StatusInput& in) {
  if (!conditions.is_array()) conditions = Json::array();
  set_ready(conditions, in);
  mirror_conditions(conditions, in);
  if (in.failure)
    set_condition(conditions, {"Failure", "True", in.failure->reason.empty() ? "FailedCreate" : in.failure->reason, in.failure->message}, in.now);
  else
    remove_condition(conditions, "Failure");
  if (in.restart_required)
    set_condition(conditions, {"RestartRequired", "True", "TemplateChanged",
                               in.restart_reason.empty() ? "the template was changed; the change takes effect at the next restart" : in.restart_reason},
                  in.now);
  else
    remove_condition(conditions, "RestartRequired");
}

void set_start_failure(Json& status, const StatusInput& in) {
  const Machine& m = in.machine;
  const Instance* i = in.instance;
  bool counted = m.strategy && (*m.strategy == RunStrategy::Always || *m.strategy == RunStrategy::RerunOnFailure ||
                                *m.strategy == RunStrategy::Once);
  if ((i && i->ran) || (!i && !counted)) {
    status.erase("startFailure");
    return;
  }
  if (!i || !i->failed_early() || (m.failure && m.failure->last_uid == i->uid)) return;
  std::int64_t count = std::clamp<std::int64_t>((m.failure ? m.failure->count : 0) + 1, 1, 1000000);
  auto retry = in.now + std::chrono::seconds(backoff_seconds(count, in.jitter));
  status["startFailure"] = {{"consecutiveFailCount", count}, {"lastFailedVMIUID", i->uid}, {"retryAfterTimestamp", format_time(retry)}};
}

void set_requests(Json& status, const StatusInput& in) {
  Json requests = status.contains("stateChangeRequests") && status["stateChangeRequests"].is_array() ? status["stateChangeRequests"] : Json::array();
  if (request_is_done(in.machine, in.instance) && !requests.empty()) requests.erase(requests.begin());
  if (in.request_start) requests.push_back(Json{{"action", "Start"}});
  if (requests.empty()) status.erase("stateChangeRequests");
  else status["stateChangeRequests"] = std::move(requests);
}

void set_recorded_strategy(Json& status, const StatusInput& in) {
  if (!in.machine.strategy) return;
  // RerunOnFailure starts once when it is chosen; it counts as taken up when there is something that runs.
  bool pending = *in.machine.strategy == RunStrategy::RerunOnFailure && !in.instance && !in.start_expected &&
                 in.machine.recorded_strategy != to_string(RunStrategy::RerunOnFailure);
  if (!pending) status["runStrategy"] = to_string(*in.machine.strategy);
}

}  // namespace

std::int64_t backoff_seconds(std::int64_t count, double jitter) {
  count = std::clamp<std::int64_t>(count, 1, 1000);
  std::int64_t seconds = 10 * count * count;
  seconds += static_cast<std::int64_t>(std::clamp(jitter, 0.0, 1.0) * static_cast<double>(seconds / 2));
  return std::min(seconds, kMaxBackoff);
}

std::string printable_status(const StatusInput& in, bool backing_off) {
  const Instance* i = in.instance;
  const Json none = Json::object();
  const Json& object = in.instance_object ? *in.instance_object : none;
  auto out_of_sync = [&](const char* reason) { return condition_is(object, "Synchronized", "False", reason); };
  const Json* migration = find(object, {"status", "migrationState"});
  bool running = i && i->phase == "Running";

  if (in.machine.deleting) return "Terminating";
  if (i && !i->final() && (i->deleting || in.stop_expected)) return "Stopping";
  if (i && !i->final() && migration && migration->is_object() && find(*migration, {"startTimestamp"}) &&
      !find(*migration, {"endTimestamp"}) && !bool_at(*migration, {"completed"}))
    return "Migrating";
  if (running && i->paused) return "Paused";
  if (running) return "Running";
  if (out_of_sync("FailedPvcNotFound")) return "ErrorPvcNotFound";
  if (condition_is(object, "PodScheduled", "False", "Unschedulable")) return "ErrorUnschedulable";
  if (in.claims_unbound && is_set_to_start(in.machine, i)) return "WaitingForVolumeBinding";
  if (out_of_sync("ErrImagePull")) return "ErrImagePull";
  if (out_of_sync("ImagePullBackOff")) return "ImagePullBackOff";
  if (i ? i->phase.empty() || i->phase == "Pending" || i->phase == "Scheduling" || i->phase == "Scheduled" : in.start_expected)
    return "Starting";
  if (backing_off && (!i || i->final()) && !in.start_expected) return "CrashLoopBackOff";
  if (i ? i->final() : !in.start_expected) return "Stopped";
  return "Unknown";
}

Json compute_status(const StatusInput& in) {
  const Json* stored = find(in.object, {"status"});
  Json status = stored && stored->is_object() ? *stored : Json::object();
  set_start_failure(status, in);
  set_requests(status, in);
  set_recorded_strategy(status, in);
  status["created"] = in.instance != nullptr;
  status["ready"] = in.instance && in.instance->ready;
  if (in.instance && in.instance->generation) {
    status["observedGeneration"] = *in.instance->generation;
    status["desiredGeneration"] = in.machine.generation;
  }
  set_conditions(status["conditions"], in);
  set_volume_update(status, in);
  bool counted = in.machine.strategy && *in.machine.strategy != RunStrategy::Halted && *in.machine.strategy != RunStrategy::Manual;
  status["printableStatus"] = printable_status(in, counted && int_at(status, {"startFailure", "consecutiveFailCount"}) > 0);
  return status;
}

}  // namespace nodevirt::virt_controller::vm
