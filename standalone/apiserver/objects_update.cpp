#include "standalone/apiserver/objects.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "standalone/apiserver/admission/webhooks.hpp"
#include "standalone/apiserver/auth/escalation.hpp"
#include "standalone/apiserver/crd/converter.hpp"
#include "standalone/apiserver/object_steps.hpp"
#include "standalone/apiserver/schema_cache.hpp"

namespace nodevirt::apiserver {

namespace {

/// The object is the one that the request is about, and says so in full afterwards.
Result<void> take_identity(const WriteContext& c, bool patch, Json& object) {
  const auto& info = *c.resource;
  auto& m = mutable_meta(object);
  if (auto name = string_at(m, {"name"}); name != c.name && !(name.empty() && !patch)) {
    if (patch) return invalid_field(info.group, info.kind, c.name, "metadata.name", "FieldValueInvalid", fmt::format("Invalid value: \"{}\": field is immutable", name));
    return bad_request(fmt::format("the name of the object ({}) does not match the name on the URL ({})", name, c.name));
  }
  m["name"] = c.name;
  if (info.namespaced) {
    auto ns = string_at(m, {"namespace"}, c.ns);
    if (ns != c.ns) return bad_request(fmt::format("the namespace of the object ({}) does not match the namespace on the request ({})", ns, c.ns));
    m["namespace"] = c.ns;
  } else {
    m.erase("namespace");
  }
  auto api_version = string_at(object, {"apiVersion"}), kind = string_at(object, {"kind"});
  if ((!api_version.empty() && api_version != info.api_version(c.version)) || (!kind.empty() && kind != info.kind))
    return bad_request(fmt::format("the object is a {} of {}, where a {} of {} is expected", kind, api_version, info.kind, info.api_version(c.version)));
  object["apiVersion"] = info.api_version(c.version);
  object["kind"] = info.kind;
  return {};
}

/// What is being deleted may lose finalizers, but gets no new ones.
void complain_about_new_finalizers(const Json& current, const Json& object, std::vector<Cause>& causes) {
  std::vector<std::string> had;
  if (const Json* f = find(current, {"metadata", "finalizers"}); f && f->is_array()) had = f->get<std::vector<std::string>>();
  if (const Json* f = find(object, {"metadata", "finalizers"}); f && f->is_array())
    for (const auto& one : *f)
      if (one.is_string() && std::find(had.begin(), had.end(), one.get<std::string>()) == had.end())
        causes.push_back({"metadata.finalizers", "FieldValueForbidden",
                          fmt::format("Forbidden: no new finalizers can be added if the object is being deleted, found new finalizers []string{{\"{}\"}}", one.get<std::string>())});
}

}  // namespace

Awaitable<Result<Written>> Objects::update(WriteContext& c, UpdateOptions o, Mutate mutate) {
  const auto& info = *c.resource;
  const auto* served = info.version(c.version);
  auto requested_warnings = c.warnings;
  for (int attempt = 0;; ++attempt) {
    c.warnings = requested_warnings;
    auto head = s_.store->head(info.id, c.ns, c.name);
    if (!head) {
      if (!o.create_when_absent) co_return not_found(info.group, info.plural, c.name);
      auto made = mutate(nullptr);
      if (!made.ok()) co_return Error(made.error());
      c.applied = o.apply;
      auto created = co_await create(c, std::move(*made));
      c.applied = false;
      if (!created.ok() && created.error().reason == "AlreadyExists" && attempt < 5) continue;
      co_return created;
    }
    auto text = s_.store->text(info.id, head);
    if (!text.ok()) {
      // A large object whose latest version is not on disk yet: its commit is under way.
      auto durable = s_.store->get(info.id, c.ns, c.name);
      if (attempt < 50 && durable != head) { co_await run_blocking([] {}); continue; }
      co_return describe(text.error(), info, c.name);
    }
    NV_CO_TRY(auto current_stored, parse_json(**text, 512));
    auto converted = co_await s_.converter->to_version(c.resource, current_stored, c.version);
    if (!converted.ok()) co_return Error(converted.error());
    const Json current = std::move(*converted);

    auto made = mutate(&current);
    if (!made.ok()) co_return Error(made.error());
    Json object = std::move(*made);
    if (!object.is_object()) co_return bad_request("the object must be a JSON object");
    auto& m = mutable_meta(object);
    const auto& old_meta = current.at("metadata");
    auto named = take_identity(c, o.patch, object);
    if (!named.ok()) co_return Error(named.error());

    // Preconditions in the object.
    auto uid = string_at(m, {"uid"});
    if (!uid.empty() && uid != head->index.uid)
      co_return conflict(info.group, info.plural, c.name,
                         fmt::format("Precondition failed: UID in precondition: {}, UID in object meta: {}", uid, head->index.uid));
    auto revision = string_at(m, {"resourceVersion"});
    bool insists = !revision.empty() && revision != "0";
    if (insists && revision != std::to_string(head->revision))
      co_return conflict(info.group, info.plural, c.name,
                         "the object has been modified; please apply your changes to the latest version and try again");
    if (!insists && !o.patch && !info.strategy->unconditional_update())
      co_return invalid_field(info.group, info.plural, c.name, "metadata.resourceVersion", "FieldValueInvalid", "Invalid value: 0x0: must be specified for an update");
    for (const char* key : {"uid", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds", "selfLink", "generation", "resourceVersion"})
      copy_or_erase(m, old_meta, key);

    auto decoded = decode(c, object, true);
    if (!decoded.ok()) co_return Error(decoded.error());
    if (c.subresource == "status") {
      Json status = object.contains("status") ? std::move(object["status"]) : Json();
      Json metadata = std::move(object["metadata"]);
      object = current;
      if (status.is_null()) object.erase("status"); else object["status"] = std::move(status);
      if (info.custom) object["metadata"]["managedFields"] = metadata.value("managedFields", Json::array());
      else { auto owners = current["metadata"].value("ownerReferences", Json()); object["metadata"] = std::move(metadata); if (owners.is_null()) object["metadata"].erase("ownerReferences"); else object["metadata"]["ownerReferences"] = owners; }
    } else if (served && served->status && c.subresource.empty()) {
      copy_or_erase(object, current, "status");
    }
    auto context = strategy_context(c);
    context.warnings = &c.warnings;
    auto prepared = info.strategy->prepare_update(context, object, current, c.subresource);
    if (!prepared.ok()) co_return Error(prepared.error());

    // managedFields and resourceVersion alone are no reason to ask anybody.
    auto attrs = admission_attributes(c, o.operation);
    auto mutated = co_await s_.webhooks->mutate(attrs, object, current, c.warnings);
    if (!mutated.ok()) co_return Error(mutated.error());
    Json before_admission;
    if (*mutated != object) {
      if (o.apply) before_admission = object;
      object = std::move(*mutated);
      auto again = decode(c, object, false);
      if (!again.ok()) co_return Error(again.error());
      if (c.subresource.empty() && served && served->status) copy_or_erase(object, current, "status");
    }
    if (info.strategy->has_generation() && c.subresource != "status") {
      bool split = !info.custom || (served && served->status);
      bool changed = split ? without_members(object, {"metadata", "status"}) != without_members(current, {"metadata", "status"})
                           : without_members(object, {"metadata"}) != without_members(current, {"metadata"});
      if (changed) mutable_meta(object)["generation"] = int_at(old_meta, {"generation"}) + 1;
    }
    auto schema = s_.schemas->validator(info, c.version);
    if (!schema.ok()) co_return Error(schema.error());
    auto now = s_.clock().wall();
    if (!o.apply) schema::track_update(&current, object, field_writer(c, now), schema->get());
    else if (!before_admission.is_null()) schema::track_apply_result(before_admission, object, schema->get());

    std::vector<Cause> causes;
    for (auto& e : causes_of(schema::validate_metadata(object, info.namespaced, &current))) causes.push_back(std::move(e));
    if (old_meta.contains("deletionTimestamp")) complain_about_new_finalizers(current, object, causes);
    if (*schema) for (auto& e : causes_of((*schema)->validate(object, &current))) causes.push_back(std::move(e));
    if (!info.custom)
      for (auto& e : causes_of(schema::validate_builtin(info.group, c.version, info.kind, object, &current))) causes.push_back(std::move(e));
    for (auto& e : info.strategy->validate(context, object, &current)) causes.push_back(std::move(e));
    if (!causes.empty()) co_return invalid(info.group, info.kind, c.name, causes);
    auto earned = check_escalation(s_, c.user, info, object, &current);
    if (!earned.ok()) co_return Error(earned.error());
    auto admitted = co_await s_.webhooks->validate(attrs, object, current, c.warnings);
    if (!admitted.ok()) co_return Error(admitted.error());

    bool remove = old_meta.contains("deletionTimestamp") && !held_by_finalizers(info, object) &&
                  int_at(object, {"metadata", "deletionGracePeriodSeconds"}) == 0;
    if (!remove && object == current) {
      if (s_.store->head(info.id, c.ns, c.name) != head && attempt < 10) continue;
      Written same;
      same.object = std::move(object);
      co_return same;
    }
    auto written = co_await finish(c, std::move(object), &current_stored, head, remove);
    if (written.ok()) co_return std::move(*written);
    bool lost = written.error().reason == "Conflict" || written.error().reason == "NotFound";
    if (lost && !insists && attempt < 20) continue;
    if (lost && o.patch && attempt < 20 && !revision.empty()) {
      // The revision came from the current object, not from the patch: mutate again tells.
      continue;
    }
    co_return describe(written.error(), info, c.name);
  }
}

}  // namespace nodevirt::apiserver
