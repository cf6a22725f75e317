#include "virt-handler/migration/state.hpp"

#include "api/names.hpp"

namespace nodevirt::virt_handler::migration {
namespace {

bool plain(const std::string& text, bool may_be_empty) {
  if (text.empty()) return may_be_empty;
  if (text.size() > 253 || text.front() == '.') return false;
  return text.find_first_not_of("0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-") == std::string::npos;
}

Owner owner_of(const Json& vmi, const std::string& uid) {
  std::string text = string_at(vmi, {"metadata", "annotations", api::kMigrationHandoverAnnotation});
  if (text.empty() || text.size() > 1024) return Owner::None;
  auto json = parse_json(text, 8);
  if (!json.ok() || string_at(*json, {"uid"}) != uid) return Owner::None;
  std::string owner = string_at(*json, {"owner"});
  return owner == "target" ? Owner::Target : owner == "source" ? Owner::Source : Owner::None;
}

}  // namespace

std::optional<MigrationState> migration_of(const Json& vmi) {
  const Json* state = find(vmi, {"status", "migrationState"});
  if (!state || !state->is_object()) return std::nullopt;
  MigrationState out;
  out.uid = string_at(*state, {"migrationUid"});
  out.source_node = string_at(*state, {"sourceNode"});
  out.source_pod = string_at(*state, {"sourcePod"});
  out.target_node = string_at(*state, {"targetNode"});
  out.target_pod = string_at(*state, {"targetPod"});
  if (!plain(out.uid, false) || out.uid.size() > 64) return std::nullopt;
  for (const std::string* text : {&out.source_node, &out.source_pod, &out.target_node, &out.target_pod})
    if (!plain(*text, true)) return std::nullopt;
  out.target_address = string_at(*state, {"targetNodeAddress"});
  out.started = string_at(*state, {"startTimestamp"});
  out.mode = string_at(*state, {"mode"});
  out.completed = bool_at(*state, {"completed"});
  out.failed = bool_at(*state, {"failed"});
  out.abort_requested = bool_at(*state, {"abortRequested"});
  out.target_detected = bool_at(*state, {"targetNodeDomainDetected"});
  out.owner = owner_of(vmi, out.uid);
  return out;
}

std::string active_pod(const std::optional<MigrationState>& state, const std::string& node) {
  if (!state) return {};
  if (state->moved()) return state->target_node == node ? state->target_pod : std::string();
  return state->source_node == node ? state->source_pod : std::string();
}

bool source_is_held(const std::optional<MigrationState>& state, const std::string& node) {
  return state && !state->finished() && state->source_node == node && !state->started.empty();
}

bool paused_by_user(const Json& vmi) {
  const Json* conditions = find(vmi, {"status", "conditions"});
  if (!conditions || !conditions->is_array()) return false;
  for (const Json& condition : *conditions)
    if (string_at(condition, {"type"}) == "Paused" && string_at(condition, {"status"}) == "True") return true;
  return false;
}

}  // namespace nodevirt::virt_handler::migration
