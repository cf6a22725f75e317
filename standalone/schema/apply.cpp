#include "standalone/schema/apply.hpp"

#include <fmt/format.h>

#include "standalone/schema/managers.hpp"
#include "standalone/schema/structure.hpp"

namespace nodevirt::schema {

namespace {

constexpr std::string_view kLastApplied = "kubectl.kubernetes.io/last-applied-configuration";

const Node* root_of(const Validator* schema) { return schema ? &schema->root() : nullptr; }

/// What nobody owns: identity and bookkeeping.
const FieldSet& unowned() {
  static const FieldSet set = [] {
    FieldSet s;
    for (const char* name : {"apiVersion", "kind", "metadata"}) s.children[field_element(name)].member = true;
    auto& metadata = s.children[field_element("metadata")];
    for (const char* name : {"name", "namespace", "creationTimestamp", "selfLink", "uid", "clusterName", "generation", "managedFields", "resourceVersion"})
      metadata.children[field_element(name)].member = true;
    return s;
  }();
  return set;
}

void ignore(FieldSet& set, const Writer& writer) {
  for (const auto& name : writer.ignored) set.children.erase(field_element(name));
}

/// What the caller will keep of a result: the ignored fields are as they were.
Json as_kept(Json result, const Json& before, const Writer& writer) {
  for (const auto& name : writer.ignored) {
    if (auto old = before.find(name); old != before.end()) result[name] = *old;
    else result.erase(name);
  }
  return result;
}

Json without_managed_fields(const Json& object) {
  Json out = object;
  if (auto m = out.find("metadata"); m != out.end() && m->is_object()) m->erase("managedFields");
  return out;
}

/// What `self` (excluded) loses to a change: its values of changed fields and what is gone.
void disown(Managers& managers, const Difference& d, const ManagerId* self) {
  for (auto it = managers.begin(); it != managers.end();) {
    if (!self || it->first != *self) {
      it->second.fields.subtract(d.added);
      it->second.fields.subtract(d.modified);
      it->second.fields.subtract(d.removed);
    }
    it = it->second.fields.empty() ? managers.erase(it) : std::next(it);
  }
}

/// Objects of which nobody owns anything get one manager for what they hold, so that applying conflicts.
void adopt_existing(Managers& managers, const Json& live, const Writer& writer, const Node* schema) {
  Difference d = compare(Json::object(), live, schema);
  d.added.unite(d.modified);
  d.added.subtract(unowned());
  d.added.compact();
  if (d.added.empty()) return;
  managers[{false, "before-first-apply", writer.api_version, ""}] = {writer.api_version, format_time(writer.now), std::move(d.added)};
}

/// Removes what the writer applied last time and nobody names any more.
void drop_abandoned(Json& merged, const FieldSet& last, const Managers& managers, const Node* schema) {
  FieldSet abandoned = with_named_fields(last, schema);
  FieldSet owned;
  for (const auto& [id, m] : managers) owned.unite(m.fields);
  abandoned.subtract(with_named_fields(owned, schema));
  abandoned.compact();
  remove_fields(merged, abandoned, schema);
}

using Conflicts = std::map<ManagerId, FieldSet>;

Conflicts conflicts_of(const Managers& managers, const Difference& d, const ManagerId& self) {
  FieldSet touched = d.modified;
  touched.unite(d.added);
  Conflicts out;
  for (const auto& [id, m] : managers) {
    if (id == self) continue;
    FieldSet both = m.fields.intersected(touched);
    if (!both.empty()) out.emplace(id, std::move(both));
  }
  return out;
}

Error conflict_error(const Conflicts& conflicts) {
  Json causes = Json::array();
  std::string lines, first;
  for (const auto& [id, set] : conflicts) {
    lines += fmt::format("{}conflicts with {}:", lines.empty() ? "" : "\n", id.text());
    for (const auto& path : set.paths()) {
      Json cause = Json::object();
      cause["reason"] = "FieldManagerConflict";
      cause["message"] = "conflict with " + id.text();
      cause["field"] = path;
      causes.push_back(std::move(cause));
      lines += "\n- " + path;
      first = "conflict with " + id.text() + ": " + path;
    }
  }
  const auto n = causes.size();
  Error e(Code::Aborted, "Conflict", n == 1 ? "Apply failed with 1 conflict: " + first : fmt::format("Apply failed with {} conflicts: {}", n, lines));
  Json details = Json::object();
  details["causes"] = std::move(causes);
  e.details = std::make_shared<const Json>(std::move(details));
  return e;
}

std::string last_applied(const Json& object) {
  return string_at(object, {"metadata", "annotations", kLastApplied});
}

/// The fields that `kubectl apply` set on the client's side and that are still as it set them.
FieldSet still_as_applied(const Json& live, const Writer& writer, const Node* schema) {
  auto config = parse_json(last_applied(live));
  if (!config || !config->is_object() || string_at(*config, {"apiVersion"}) != writer.api_version) return {};
  auto set = fields_of(*config, schema, false);
  if (!set) return {};
  const Difference d = compare(*config, live, schema);
  for (const FieldSet* differs : {&d.modified, &d.added, &d.removed}) set->subtract(*differs);
  return std::move(*set);
}

Error bad_request(std::string message) { return Error(Code::InvalidArgument, "BadRequest", std::move(message)); }

}  // namespace

Result<Json> apply_patch(const Json* live, const Json& config, const Writer& writer, bool force, const Validator* validator) {
  const Node* schema = root_of(validator);
  if (!config.is_object()) return bad_request("the applied configuration must be an object");
  if (const Json* own = find(config, {"metadata", "managedFields"}); own && !own->is_null())
    return bad_request("metadata.managedFields must be nil");
  if (string_at(config, {"apiVersion"}) != writer.api_version)
    return bad_request("Incorrect version specified in apply patch. Specified patch version: " + string_at(config, {"apiVersion"}) +
                       ", expected: " + writer.api_version);
  NV_TRY(FieldSet named, fields_of(config, schema, false));
  ignore(named, writer);

  Managers managers = live ? managers_of(*live) : Managers{};
  const Json before = live ? without_managed_fields(*live) : Json::object();
  if (live && managers.empty()) adopt_existing(managers, before, writer, schema);
  for (auto& [id, m] : managers) reconcile_with_schema(m.fields, schema);

  const ManagerId self = id_of(writer, true);
  const Managed previous = managers.count(self) ? managers.at(self) : Managed{};
  managers[self] = {writer.api_version, previous.time, named};
  Json result = merge_config(before, config, schema);
  drop_abandoned(result, previous.fields, managers, schema);

  Difference change = compare(before, result, schema);
  for (FieldSet* part : {&change.added, &change.modified, &change.removed}) ignore(*part, writer);
  Conflicts conflicts = conflicts_of(managers, change, self);
  if (!conflicts.empty() && !force) {
    // kubectl moving from client-side apply owns what it had applied.
    if (writer.manager == "kubectl" && !last_applied(before).empty()) {
      const FieldSet allowed = still_as_applied(before, writer, schema);
      for (auto it = conflicts.begin(); it != conflicts.end();) {
        it->second.subtract(allowed);
        it = it->second.empty() ? conflicts.erase(it) : std::next(it);
      }
    }
    if (!conflicts.empty()) return conflict_error(conflicts);
  }
  disown(managers, change, &self);
  auto mine = managers.find(self);
  if (mine != managers.end()) {
    mine->second.fields.subtract(unowned());
    mine->second.fields.compact();
    const bool same = result == before && mine->second.fields == previous.fields && !previous.time.empty();
    if (!same) mine->second.time = format_time(writer.now);
    if (mine->second.fields.empty()) managers.erase(mine);
  }
  // Now and not by the next apply: the same once more is to change nothing.
  if (live && managers.empty()) adopt_existing(managers, as_kept(result, before, writer), writer, schema);
  if (writer.manager == "kubectl" && !last_applied(result).empty()) {
    Json applied = config;
    if (auto a = applied["metadata"].find("annotations"); a != applied["metadata"].end() && a->is_object()) a->erase(std::string(kLastApplied));
    result["metadata"]["annotations"][std::string(kLastApplied)] = dump_json(applied) + "\n";
  }
  set_managers(result, managers);
  return result;
}

void track_update(const Json* old, Json& updated, const Writer& writer, const Validator* validator) {
  const Node* schema = root_of(validator);
  if (!updated.is_object()) return;
  const Json* given = find(updated, {"metadata", "managedFields"});
  const bool reset = given && given->is_array() && (given->empty() || (given->size() == 1 && (*given)[0].is_object() && (*given)[0].empty()));
  Managers managers;
  // A subresource is no place to rewrite history.
  if (!writer.subresource.empty()) {
    if (old) managers = managers_of(*old);
  } else if (!reset) {
    managers = managers_of(updated);
    if (managers.empty() && old) managers = managers_of(*old);
  }
  const Json before = old ? without_managed_fields(*old) : Json::object();
  if (auto m = updated.find("metadata"); m != updated.end() && m->is_object()) m->erase("managedFields");
  // An object that nobody keeps track of stays so.
  if (old && managers.empty()) return;
  for (auto& [id, m] : managers) reconcile_with_schema(m.fields, schema);

  Difference change = compare(before, updated, schema);
  for (FieldSet* part : {&change.added, &change.modified, &change.removed}) ignore(*part, writer);
  disown(managers, change, nullptr);
  FieldSet mine = change.added;
  mine.unite(change.modified);
  mine.subtract(unowned());
  mine.compact();
  if (!mine.empty()) {
    Managed& m = managers[id_of(writer, false)];
    m.api_version = writer.api_version;
    m.time = format_time(writer.now);
    m.fields.unite(mine);
  }
  cap_updaters(managers);
  set_managers(updated, managers);
}

void track_apply_result(const Json& applied, Json& final, const Validator* validator) {
  if (!final.is_object()) return;
  Managers managers = managers_of(final);
  if (managers.empty()) managers = managers_of(applied);
  if (managers.empty()) return;
  Difference change = compare(without_managed_fields(applied), without_managed_fields(final), root_of(validator));
  change.added = {};
  change.modified = {};
  disown(managers, change, nullptr);
  set_managers(final, managers);
}

bool equal_ignoring_managed_fields(const Json& a, const Json& b) {
  auto plain = [](const Json& o) {
    Json out = o;
    auto m = out.find("metadata");
    if (m == out.end() || !m->is_object()) return out;
    m->erase("resourceVersion");
    if (auto list = m->find("managedFields"); list != m->end() && list->is_array())
      for (Json& e : *list)
        if (e.is_object()) e.erase("time");
    return out;
  };
  return plain(a) == plain(b);
}

std::vector<FieldError> validate_managed_fields(const Json& object) {
  const Json* list = find(object, {"metadata", "managedFields"});
  if (!list) return {};
  auto decoded = decode_managers(*list);
  if (decoded) return {};
  // [] and [{}] ask for a reset.
  if (list->is_array() && list->size() == 1 && (*list)[0].is_object() && (*list)[0].empty()) return {};
  return {{"metadata.managedFields", "FieldValueInvalid", "Invalid value: " + decoded.error().message}};
}

Result<void> check_manager(std::string_view manager, bool apply) {
  if (apply && manager.empty()) return Error(Code::InvalidArgument, "Invalid", "fieldManager: Required value: is required for apply patch");
  if (manager.size() > 128) return Error(Code::InvalidArgument, "Invalid", "fieldManager: Too long: may not be more than 128 bytes");
  for (unsigned char c : manager)
    if (c < 0x20 || c == 0x7f)
      return Error(Code::InvalidArgument, "Invalid", "fieldManager: Invalid value: should only contain printable characters");
  return {};
}

}  // namespace nodevirt::schema
