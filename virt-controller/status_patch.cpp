#include "virt-controller/status_patch.hpp"

#include "pkg/k8s/json_patch.hpp"

namespace nodevirt::virt_controller {

namespace {

Json op(const char* what, std::string path) { return {{"op", what}, {"path", std::move(path)}}; }
Json op(const char* what, std::string path, Json value) {
  Json out = op(what, std::move(path));
  out["value"] = std::move(value);
  return out;
}

int finalizer_index(const Json& object, std::string_view finalizer) {
  const Json* list = find(object, {"metadata", "finalizers"});
  if (!list || !list->is_array()) return -1;
  for (std::size_t i = 0; i < list->size(); ++i)
    if ((*list)[i].is_string() && (*list)[i].get_ref<const std::string&>() == finalizer) return static_cast<int>(i);
  return -1;
}

}  // namespace

void set_condition(Json& conditions, const ConditionText& wanted, Clock::WallTime now) {
  if (!conditions.is_array()) conditions = Json::array();
  Json* found = nullptr;
  for (auto& c : conditions)
    if (string_at(c, {"type"}) == wanted.type) found = &c;
  if (!found) {
    conditions.push_back(Json{{"type", wanted.type}});
    found = &conditions.back();
  }
  Json& c = *found;
  if (string_at(c, {"status"}) != wanted.status || !c.contains("lastTransitionTime")) c["lastTransitionTime"] = format_time(now);
  c["status"] = wanted.status;
  if (!c.contains("lastProbeTime")) c["lastProbeTime"] = nullptr;
  for (auto [key, text] : {std::pair{"reason", &wanted.reason}, std::pair{"message", &wanted.message}}) {
    if (text->empty()) c.erase(key);
    else c[key] = *text;
  }
}

void remove_condition(Json& conditions, std::string_view type) {
  if (!conditions.is_array()) return;
  for (std::size_t i = conditions.size(); i-- > 0;)
    if (string_at(conditions[i], {"type"}) == type) conditions.erase(i);
}

const Json* find_condition(const Json& object, std::string_view type) {
  const Json* list = find(object, {"status", "conditions"});
  if (!list || !list->is_array()) return nullptr;
  for (const auto& c : *list)
    if (string_at(c, {"type"}) == type) return &c;
  return nullptr;
}

bool condition_is(const Json& object, std::string_view type, std::string_view status, std::string_view reason) {
  const Json* c = find_condition(object, type);
  return c && string_at(*c, {"status"}) == status && (reason.empty() || string_at(*c, {"reason"}) == reason);
}

void enter_phase(Json& status, const std::string& phase, Clock::WallTime now) {
  status["phase"] = phase;
  Json& list = status["phaseTransitionTimestamps"];
  if (!list.is_array()) list = Json::array();
  for (const auto& item : list)
    if (string_at(item, {"phase"}) == phase) return;
  list.push_back(Json{{"phase", phase}, {"phaseTransitionTimestamp", format_time(now)}});
}

Json status_patch(const Json& object, const Json& status) {
  Json patch = Json::array();
  const Json empty = Json::object();
  const Json* stored = find(object, {"status"});
  if (stored && !stored->is_object()) stored = nullptr;
  const Json& old = stored ? *stored : empty;
  if (old == status) return patch;
  patch.push_back(uid_test(object));
  if (!stored) {
    // A request to start may have made the status meanwhile.
    patch.push_back(op("test", "/status", nullptr));
    patch.push_back(op("add", "/status", status));
    return patch;
  }
  for (auto it = old.begin(); it != old.end(); ++it) {
    std::string path = "/status/" + k8s::escape_json_pointer(it.key());
    auto now = status.find(it.key());
    if (now != status.end() && *now == *it) continue;
    patch.push_back(op("test", path, *it));
    if (now == status.end()) patch.push_back(op("remove", path));
    else patch.push_back(op("replace", path, *now));
  }
  for (auto it = status.begin(); it != status.end(); ++it)
    if (!old.contains(it.key())) patch.push_back(op("add", "/status/" + k8s::escape_json_pointer(it.key()), *it));
  return patch;
}

void add_metadata_entry(Json& patch, const Json& object, const char* map, std::string_view key, const std::string& value) {
  if (string_at(object, {"metadata", map, key}) == value) return;
  const Json* have = find(object, {"metadata", map});
  if (!have || !have->is_object()) {
    patch.push_back(op("add", std::string("/metadata/") + map, Json{{std::string(key), value}}));
    return;
  }
  patch.push_back(op("add", std::string("/metadata/") + map + "/" + k8s::escape_json_pointer(key), value));
}

void add_finalizer(Json& patch, const Json& object, std::string_view finalizer) {
  if (has_finalizer(object, finalizer)) return;
  const Json* list = find(object, {"metadata", "finalizers"});
  if (!list || !list->is_array()) {
    patch.push_back(op("test", "/metadata/finalizers", nullptr));
    patch.push_back(op("add", "/metadata/finalizers", Json::array({std::string(finalizer)})));
    return;
  }
  patch.push_back(op("test", "/metadata/finalizers", *list));
  patch.push_back(op("add", "/metadata/finalizers/-", std::string(finalizer)));
}

void remove_finalizer(Json& patch, const Json& object, std::string_view finalizer) {
  int i = finalizer_index(object, finalizer);
  if (i < 0) return;
  std::string path = fmt::format("/metadata/finalizers/{}", i);
  patch.push_back(op("test", path, std::string(finalizer)));
  patch.push_back(op("remove", path));
}

bool has_finalizer(const Json& object, std::string_view finalizer) { return finalizer_index(object, finalizer) >= 0; }

Json uid_test(const Json& object) { return op("test", "/metadata/uid", string_at(object, {"metadata", "uid"})); }

std::string controller_of(const Json& object) {
  const Json* owners = find(object, {"metadata", "ownerReferences"});
  if (!owners || !owners->is_array()) return "";
  for (const auto& o : *owners)
    if (bool_at(o, {"controller"})) return string_at(o, {"uid"});
  return "";
}

}  // namespace nodevirt::virt_controller
