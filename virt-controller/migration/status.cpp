#include "virt-controller/migration/status.hpp"

#include "api/names.hpp"
#include "pkg/k8s/json_patch.hpp"
#include "virt-controller/status_patch.hpp"

namespace nodevirt::virt_controller::migration {

namespace {

constexpr const char* kAbortRequested = "migrationAbortRequested";
constexpr const char* kRejectedByQuota = "migrationRejectedByResourceQuota";

const Json* state_of(const Json& instance) {
  const Json* state = find(instance, {"status", "migrationState"});
  return state && state->is_object() ? state : nullptr;
}

bool has_time(const Json& state, std::string_view key) { return !string_at(state, {key}).empty(); }

Json patch_op(const char* what, std::string path, Json value) { return {{"op", what}, {"path", std::move(path)}, {"value", std::move(value)}}; }

std::string metadata_path(const char* map, std::string_view key) {
  return std::string("/metadata/") + map + "/" + k8s::escape_json_pointer(key);
}

void enter(StatusOutcome& out, const StatusInput& in) {
  const std::string& next = in.plan.phase;
  if (next.empty() || !in.done) return;
  enter_phase(out.status, next, in.now);
  if (next != "Failed") return;
  const std::string& reason = in.plan.reason;
  out.events.push_back({"Warning", "FailedMigration", reason});
  Json& state = out.status["migrationState"];
  if (!state.is_object()) state = Json::object();
  if (!has_time(state, "endTimestamp")) state["endTimestamp"] = format_time(in.now);
  state["failed"] = true;
  if (string_at(state, {"failureReason"}).empty()) state["failureReason"] = reason;
}

// What stands in the instance while it is about this migration; before that, what is known of it.
void show_state(StatusOutcome& out, const StatusInput& in) {
  bool told = !in.seen.final() || in.seen.state.completed || in.seen.state.failed;
  if (in.instance && in.seen.state.ours) {
    if (!told) return;
    if (const Json* state = state_of(*in.instance)) out.status["migrationState"] = *state;
    return;
  }
  if (!in.instance || in.seen.final() || in.seen.phase.empty()) return;
  Json& state = out.status["migrationState"];
  if (!state.is_object()) state = Json::object();
  if (!in.seen.instance_node.empty()) state["sourceNode"] = in.seen.instance_node;
  if (!in.target_pod.empty()) state["targetPod"] = in.target_pod;
  if (in.seen.target && !in.seen.target->node.empty()) state["targetNode"] = in.seen.target->node;
  if (state.empty()) out.status.erase("migrationState");
}

void set_conditions(StatusOutcome& out, const StatusInput& in) {
  Json& conditions = out.status["conditions"];
  if (!conditions.is_array()) conditions = Json::array();
  if (in.seen.deleting && !in.seen.final())
    set_condition(conditions, {kAbortRequested, "True", "", "the migration was deleted: it is cancelled"}, in.now);
  if (!in.quota.empty()) {
    if (!condition_is(in.object, kRejectedByQuota, "True")) out.events.push_back({"Warning", "FailedCreate", in.quota});
    set_condition(conditions, {kRejectedByQuota, "True", "ExceededQuota", in.quota}, in.now);
  } else {
    remove_condition(conditions, kRejectedByQuota);
  }
  if (conditions.empty()) out.status.erase("conditions");
}

}  // namespace

StatusOutcome compute_status(const StatusInput& in) {
  StatusOutcome out;
  const Json* stored = find(in.object, {"status"});
  out.status = stored && stored->is_object() ? *stored : Json::object();
  show_state(out, in);
  enter(out, in);
  set_conditions(out, in);
  if (in.done && in.plan.phase == "Succeeded") {
    std::string node = string_at(out.status, {"migrationState", "targetNode"});
    out.events.push_back({"Normal", "SuccessfulMigration", "the instance runs on node " + node + " now"});
  }
  return out;
}

HandedOver handed_over(const Json& instance, const std::string& uid) {
  HandedOver out;
  const Json* state = state_of(instance);
  if (!state || uid.empty() || string_at(*state, {"migrationUid"}) != uid) return out;
  out.ours = true;
  out.target_ready = !string_at(*state, {"targetNodeAddress"}).empty();
  out.started = has_time(*state, "startTimestamp");
  out.completed = bool_at(*state, {"completed"});
  out.failed = bool_at(*state, {"failed"});
  out.abort_requested = bool_at(*state, {"abortRequested"});
  out.failure_reason = string_at(*state, {"failureReason"});
  return out;
}

bool other_under_way(const Json& instance, const std::string& uid) {
  const Json* state = state_of(instance);
  if (!state || string_at(*state, {"migrationUid"}).empty() || string_at(*state, {"migrationUid"}) == uid) return false;
  return !bool_at(*state, {"completed"}) && !bool_at(*state, {"failed"});
}

Json hand_over_patch(const HandOverInput& in) {
  std::string uid = string_at(in.migration, {"metadata", "uid"});
  Json state = {{"migrationUid", uid},
                {"sourceNode", string_at(in.instance, {"status", "nodeName"})},
                {"sourcePod", in.source_pod},
                {"targetNode", in.target->node},
                {"targetPod", in.target->meta.name},
                {"mode", "PreCopy"},
                {"migrationConfiguration", api::to_json(in.config)}};
  if (!in.config.policy_name.empty()) state["migrationPolicyName"] = in.config.policy_name;
  Json patch = Json::array({uid_test(in.instance)});
  const Json* old = find(in.instance, {"status", "migrationState"});
  patch.push_back(patch_op("test", "/status/nodeName", string_at(in.instance, {"status", "nodeName"})));
  patch.push_back(patch_op("test", "/status/migrationState", old ? *old : Json()));
  if (const Json* volumes = find(in.instance, {"spec", "volumes"})) patch.push_back(patch_op("test", "/spec/volumes", *volumes));
  patch.push_back(patch_op("add", "/status/migrationState", std::move(state)));
  const Json* pods = find(in.instance, {"status", "activePods"});
  if (!pods || !pods->is_object()) patch.push_back(patch_op("add", "/status/activePods", Json::object()));
  patch.push_back(patch_op("add", "/status/activePods/" + in.target->meta.uid, in.target->node));
  // Also where it stands already: the migration before may be about to remove it, and did not when this wins.
  if (string_at(in.instance, {"metadata", "labels", api::kMigrationTargetNodeLabel}) == in.target->node)
    patch.push_back(patch_op("add", metadata_path("labels", api::kMigrationTargetNodeLabel), in.target->node));
  else
    add_metadata_entry(patch, in.instance, "labels", api::kMigrationTargetNodeLabel, in.target->node);
  add_metadata_entry(patch, in.instance, "annotations", api::kMigrationSettingsAnnotation, api::format_migration_settings(uid, in.config));
  return patch;
}

Json abort_patch(const Json& instance, const std::string& uid) {
  return Json::array({uid_test(instance), patch_op("test", "/status/migrationState/migrationUid", uid),
                      patch_op("add", "/status/migrationState/abortRequested", true)});
}

Json take_back_patch(const Json& instance, const std::string& uid, const std::string& reason, bool aborted, Clock::WallTime now) {
  HandedOver have = handed_over(instance, uid);
  if (!have.ours || have.started || have.completed || have.failed) return Json::array();
  Json state = *state_of(instance);
  Json patch = Json::array({uid_test(instance), patch_op("test", "/status/migrationState", state)});
  state["failed"] = true;
  state["failureReason"] = reason;
  state["endTimestamp"] = format_time(now);
  // A source that is about to begin reads its own write's answer, and finds this in it.
  state["abortRequested"] = true;
  if (aborted) state["abortStatus"] = "Succeeded";
  patch.push_back(patch_op("replace", "/status/migrationState", std::move(state)));
  if (!string_at(instance, {"metadata", "labels", api::kMigrationTargetNodeLabel}).empty())
    patch.push_back(Json{{"op", "remove"}, {"path", metadata_path("labels", api::kMigrationTargetNodeLabel)}});
  return patch;
}

Json clear_label_patch(const Json& instance, const std::string& uid) {
  return Json::array({uid_test(instance), patch_op("test", "/status/migrationState/migrationUid", uid),
                      Json{{"op", "remove"}, {"path", metadata_path("labels", api::kMigrationTargetNodeLabel)}}});
}

}  // namespace nodevirt::virt_controller::migration
