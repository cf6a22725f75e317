#include "standalone/apiserver/objects.hpp"

#include <fmt/format.h>

#include "pkg/base/id.hpp"
#include "standalone/apiserver/admission/webhooks.hpp"
#include "standalone/apiserver/auth/escalation.hpp"
#include "standalone/apiserver/object_steps.hpp"
#include "standalone/apiserver/schema_cache.hpp"

namespace nodevirt::apiserver {

Awaitable<Result<Written>> Objects::create(WriteContext& c, Json object) {
  const auto& info = *c.resource;
  if (info.custom && info.terminating)
    co_return method_not_allowed("create not allowed while custom resource definition is terminating");
  auto& m = mutable_meta(object);
  auto ns = string_at(m, {"namespace"});
  if (!info.namespaced) m.erase("namespace");
  else if (!ns.empty() && ns != c.ns)
    co_return bad_request("the namespace of the provided object does not match the namespace sent on the request");
  else m["namespace"] = c.ns;
  c.name = string_at(m, {"name"});
  auto allowed = co_await check_namespace(c);
  if (!allowed.ok()) co_return Error(allowed.error());
  if (!string_at(m, {"resourceVersion"}).empty())
    co_return bad_request("resourceVersion should not be set on objects to be created");
  bool generate = c.name.empty();
  auto base = string_at(m, {"generateName"});
  if (generate && base.empty())
    co_return invalid_field(info.group, info.kind, "", "metadata.name", "FieldValueRequired", "Required value: name or generateName is required");
  for (const char* key : {"deletionTimestamp", "deletionGracePeriodSeconds", "selfLink", "resourceVersion", "generation"}) m.erase(key);
  auto now = s_.clock().wall();
  m["uid"] = new_uuid();
  m["creationTimestamp"] = format_time(now);
  if (info.strategy->has_generation()) m["generation"] = 1;
  if (const auto* v = info.version(c.version); v && v->status && info.id != "nodes") object.erase("status");
  auto decoded = decode(c, object, true);
  if (!decoded.ok()) co_return Error(decoded.error());

  for (int attempt = 0;; ++attempt) {
    Json candidate = object;
    if (generate) {
      c.name = base.substr(0, 58) + random_suffix(5);
      mutable_meta(candidate)["name"] = c.name;
    }
    auto context = strategy_context(c);
    context.warnings = &c.warnings;
    auto prepared = info.strategy->prepare_create(context, candidate);
    if (!prepared.ok()) co_return Error(prepared.error());

    auto attrs = admission_attributes(c, "CREATE");
    auto mutated = co_await s_.webhooks->mutate(attrs, candidate, Json(), c.warnings);
    if (!mutated.ok()) co_return Error(mutated.error());
    if (*mutated != candidate) {
      candidate = std::move(*mutated);
      auto again = decode(c, candidate, false);
      if (!again.ok()) co_return Error(again.error());
      auto& cm = mutable_meta(candidate);
      if (string_at(cm, {"name"}) != c.name || (info.namespaced && string_at(cm, {"namespace"}) != c.ns))
        co_return bad_request("an admission webhook changed the object's name or namespace");
    }
    auto schema = s_.schemas->validator(info, c.version);
    if (!schema.ok()) co_return Error(schema.error());
    if (c.applied) {
      schema::track_apply_result(object, candidate, schema->get());   // apply has recorded its fields
    } else {
      schema::track_update(nullptr, candidate, field_writer(c, now), schema->get());
    }
    std::vector<Cause> causes;
    if (auto why = info.strategy->check_name(c.name); !why.empty())
      causes.push_back({"metadata.name", "FieldValueInvalid", fmt::format("Invalid value: \"{}\": {}", c.name, why)});
    const bool name_told = !causes.empty();
    for (auto& e : causes_of(schema::validate_metadata(candidate, info.namespaced)))
      if (!name_told || e.field != "metadata.name") causes.push_back(std::move(e));
    if (*schema) for (auto& e : causes_of((*schema)->validate(candidate))) causes.push_back(std::move(e));
    if (!info.custom)
      for (auto& e : causes_of(schema::validate_builtin(info.group, c.version, info.kind, candidate))) causes.push_back(std::move(e));
    for (auto& e : info.strategy->validate(context, candidate, nullptr)) causes.push_back(std::move(e));
    if (!causes.empty()) co_return invalid(info.group, info.kind, c.name, causes);
    auto earned = check_escalation(s_, c.user, info, candidate, nullptr);
    if (!earned.ok()) co_return Error(earned.error());
    attrs.name = c.name;
    auto admitted = co_await s_.webhooks->validate(attrs, candidate, Json(), c.warnings);
    if (!admitted.ok()) co_return Error(admitted.error());

    if (c.dry_run && s_.store->head(info.id, c.ns, c.name)) co_return already_exists(info.group, info.plural, c.name);
    auto written = co_await finish(c, std::move(candidate), nullptr, nullptr, false);
    if (written.ok()) co_return std::move(*written);
    if (written.error().reason == "AlreadyExists" && generate && attempt < 7) continue;
    co_return describe(written.error(), info, c.name);
  }
}

}  // namespace nodevirt::apiserver
