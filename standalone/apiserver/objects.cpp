#include "standalone/apiserver/objects.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "pkg/base/id.hpp"
#include "standalone/apiserver/admission/quota.hpp"
#include "standalone/apiserver/admission/webhooks.hpp"
#include "standalone/apiserver/auth/escalation.hpp"
#include "standalone/apiserver/crd/converter.hpp"
#include "standalone/apiserver/schema_cache.hpp"
#include "standalone/schema/apply.hpp"
#include "standalone/schema/builtin.hpp"

namespace nodevirt::apiserver {

namespace {

constexpr std::string_view kMetaFields[] = {
    "annotations", "creationTimestamp", "deletionGracePeriodSeconds", "deletionTimestamp", "finalizers", "generateName",
    "generation", "labels", "managedFields", "name", "namespace", "ownerReferences", "resourceVersion", "selfLink", "uid"};

Json& meta(Json& object) {
  auto& m = object["metadata"];
  if (!m.is_object()) m = Json::object();
  return m;
}

void copy_member(Json& to, const Json& from, const char* key) {
  auto it = from.find(key);
  if (it == from.end() || it->is_null()) to.erase(key);
  else to[key] = *it;
}

bool has_items(const Json& object, std::initializer_list<std::string_view> path) {
  const Json* list = find(object, path);
  return list && list->is_array() && !list->empty();
}

/// Whatever keeps a deleted object in place.
bool has_finalizers(const ResourceInfo& info, const Json& object) {
  return has_items(object, {"metadata", "finalizers"}) || (info.id == "namespaces" && has_items(object, {"spec", "finalizers"}));
}

Json without(const Json& object, std::initializer_list<const char*> keys) {
  Json out = object;
  for (const char* k : keys) out.erase(k);
  return out;
}

std::vector<Cause> to_causes(const std::vector<schema::FieldError>& errors) {
  std::vector<Cause> out;
  for (const auto& e : errors) out.push_back({e.path, e.type, e.message});
  return out;
}

schema::Writer writer_of(const WriteContext& c, Clock::WallTime now) {
  schema::Writer w{c.manager, c.resource->api_version(c.version), c.subresource, now};
  // What the main resource does not write (the server's own first status) is nobody's.
  const auto* version = c.resource->version(c.version);
  if (c.subresource.empty() && version && version->status) w.ignored = {"status"};
  return w;
}

AdmissionAttributes attributes(const WriteContext& c, std::string operation) {
  AdmissionAttributes a;
  a.resource = c.resource;
  a.version = c.version;
  a.subresource = c.subresource;
  a.operation = std::move(operation);
  a.ns = c.ns;
  a.name = c.name;
  a.user = c.user;
  a.dry_run = c.dry_run;
  return a;
}

}  // namespace

Error describe(const Error& e, const ResourceInfo& info, const std::string& name) {
  if (e.reason == "AlreadyExists") return already_exists(info.group, info.plural, name);
  if (e.reason == "NotFound") return not_found(info.group, info.plural, name);
  if (e.reason == "Conflict") return conflict(info.group, info.plural, name, e.message);
  if (e.reason.empty()) return internal_error(e.message);   // the disk is full, say
  return e;
}

void prune_metadata(Json& object, std::vector<std::string>& dropped) {
  auto it = object.find("metadata");
  if (it == object.end() || !it->is_object()) return;
  for (auto m = it->begin(); m != it->end();) {
    if (std::find(std::begin(kMetaFields), std::end(kMetaFields), m.key()) == std::end(kMetaFields)) {
      dropped.push_back("metadata." + m.key());
      m = it->erase(m);
    } else if (m->is_null()) {
      m = it->erase(m);
    } else {
      ++m;
    }
  }
}

StrategyContext Objects::strategy_context(const WriteContext& c) const {
  return StrategyContext{*s_.store, s_.registry, s_.options, c.user, s_.clock().wall(), c.dry_run};
}

Awaitable<Result<Json>> Objects::get(ResourcePtr resource, std::string version, std::string ns, std::string name) {
  auto stored = s_.store->get(resource->id, ns, name);
  if (!stored) co_return not_found(resource->group, resource->plural, name);
  auto text = s_.store->text(resource->id, stored);
  if (!text.ok()) co_return describe(text.error(), *resource, name);
  NV_CO_TRY(auto object, parse_json(**text, 512));
  co_return co_await s_.converter->to_version(resource, std::move(object), version);
}

Awaitable<Result<void>> Objects::check_namespace(const WriteContext& c) {
  if (!c.resource->namespaced) co_return Result<void>();
  if (c.ns.empty()) co_return bad_request("an empty namespace may not be set during creation");
  // A namespace that was created a moment ago may not be durable yet, but it is accepted.
  auto stored = s_.store->head("namespaces", "", c.ns);
  if (!stored) co_return not_found("", "namespaces", c.ns);
  auto phase = stored->index.fields.find("status.phase");
  if (phase != stored->index.fields.end() && phase->second == "Terminating") {
    auto e = forbidden(c.resource->group, c.resource->plural, c.name,
                       fmt::format("unable to create new content in namespace {} because it is being terminated", c.ns));
    co_return with_cause(e, "metadata.namespace", "NamespaceTerminating", fmt::format("namespace {} is being terminated", c.ns));
  }
  co_return Result<void>();
}

Result<void> Objects::complain(WriteContext& c, std::vector<std::string> unknown) {
  std::vector<std::string> what;
  for (const auto& u : unknown) what.push_back(fmt::format("unknown field \"{}\"", u));
  for (const auto& d : c.duplicate_fields) what.push_back(fmt::format("duplicate field \"{}\"", d));
  c.duplicate_fields.clear();
  if (what.empty() || c.field_validation == FieldValidation::Ignore) return {};
  if (c.field_validation == FieldValidation::Warn) {
    for (auto& w : what)
      if (std::find(c.warnings.begin(), c.warnings.end(), w) == c.warnings.end()) c.warnings.push_back(w);
    return {};
  }
  auto all = fmt::format("strict decoding error: {}", fmt::join(what, ", "));
  if (c.resource->custom) return bad_request(all);
  return bad_request(fmt::format("{} in version \"{}\" cannot be handled as a {}: {}", c.resource->kind, c.version, c.resource->kind, all));
}

Result<void> Objects::decode(WriteContext& c, Json& object, bool first) {
  const auto& info = *c.resource;
  NV_TRY(auto validator, s_.schemas->validator(info, c.version));
  std::vector<std::string> dropped;
  prune_metadata(object, dropped);
  if (validator) validator->prune(object, &dropped);
  if (first) NV_TRY_VOID(complain(c, std::move(dropped)));
  if (info.custom) {
    if (validator) validator->apply_defaults(object);
  } else {
    schema::apply_builtin_defaults(info.group, c.version, info.kind, object);
  }
  return {};
}

Awaitable<Result<Written>> Objects::finish(WriteContext& c, Json object, const Json* current_stored, StoredPtr head, bool remove) {
  const auto& info = *c.resource;
  Json stored = object;
  if (info.to_stored) info.to_stored(stored);
  else {
    auto storage = info.storage().name;
    auto converted = co_await s_.converter->to_version(c.resource, std::move(stored), storage);
    if (!converted.ok()) co_return Error(converted.error());
    stored = std::move(*converted);
  }
  // From here to the commit nothing suspends: what the hook sees is what the commit is based on.
  auto context = strategy_context(c);
  context.warnings = &c.warnings;
  if (!remove) {
    auto last = info.strategy->before_commit(context, stored, current_stored);
    if (!last.ok()) co_return Error(last.error());
    if (info.namespaced) {
      auto fits = check_quotas(*s_.store, info, stored, current_stored);
      if (!fits.ok()) co_return Error(fits.error());
    }
  }
  Written out;
  out.created = !head;
  out.removed = remove;
  if (c.dry_run) {
    if (c.version == info.storage().name && !info.to_stored) out.object = std::move(stored);
    else out.object = std::move(object);
    co_return out;
  }
  Store::Write w;
  w.resource = info.id;
  w.ns = c.ns;
  w.name = c.name;
  w.expected = head ? head->revision : 0;
  w.index = index_of(info, stored);
  w.remove = remove;
  bool same = c.version == info.storage().name && !info.to_stored;
  if (same) object = stored;
  w.value = std::move(stored);
  auto done = co_await s_.store->commit(std::move(w));
  if (!done.ok()) co_return Error(done.error());
  meta(object)["resourceVersion"] = std::to_string((*done)->revision);
  out.object = std::move(object);
  co_return out;
}

Awaitable<Result<Written>> Objects::create(WriteContext& c, Json object) {
  const auto& info = *c.resource;
  if (info.custom && info.terminating)
    co_return method_not_allowed("create not allowed while custom resource definition is terminating");
  auto& m = meta(object);
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
      meta(candidate)["name"] = c.name;
    }
    auto context = strategy_context(c);
    context.warnings = &c.warnings;
    auto prepared = info.strategy->prepare_create(context, candidate);
    if (!prepared.ok()) co_return Error(prepared.error());

    auto attrs = attributes(c, "CREATE");
    auto mutated = co_await s_.webhooks->mutate(attrs, candidate, Json(), c.warnings);
    if (!mutated.ok()) co_return Error(mutated.error());
    if (*mutated != candidate) {
      candidate = std::move(*mutated);
      auto again = decode(c, candidate, false);
      if (!again.ok()) co_return Error(again.error());
      auto& cm = meta(candidate);
      if (string_at(cm, {"name"}) != c.name || (info.namespaced && string_at(cm, {"namespace"}) != c.ns))
        co_return bad_request("an admission webhook changed the object's name or namespace");
    }
    auto schema = s_.schemas->validator(info, c.version);
    if (!schema.ok()) co_return Error(schema.error());
    if (c.applied) {
      schema::track_apply_result(object, candidate, schema->get());   // apply has recorded its fields
    } else {
      schema::track_update(nullptr, candidate, writer_of(c, now), schema->get());
    }
    std::vector<Cause> causes;
    if (auto why = info.strategy->check_name(c.name); !why.empty())
      causes.push_back({"metadata.name", "FieldValueInvalid", fmt::format("Invalid value: \"{}\": {}", c.name, why)});
    const bool name_told = !causes.empty();
    for (auto& e : to_causes(schema::validate_metadata(candidate, info.namespaced)))
      if (!name_told || e.field != "metadata.name") causes.push_back(std::move(e));
    if (*schema) for (auto& e : to_causes((*schema)->validate(candidate))) causes.push_back(std::move(e));
    if (!info.custom)
      for (auto& e : to_causes(schema::validate_builtin(info.group, c.version, info.kind, candidate))) causes.push_back(std::move(e));
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
    auto& m = meta(object);
    const auto& old_meta = current.at("metadata");
    if (auto name = string_at(m, {"name"}); name != c.name && !(name.empty() && !o.patch)) {
      if (o.patch) co_return invalid_field(info.group, info.kind, c.name, "metadata.name", "FieldValueInvalid", fmt::format("Invalid value: \"{}\": field is immutable", name));
      co_return bad_request(fmt::format("the name of the object ({}) does not match the name on the URL ({})", name, c.name));
    }
    m["name"] = c.name;
    if (info.namespaced) {
      auto ns = string_at(m, {"namespace"}, c.ns);
      if (ns != c.ns) co_return bad_request(fmt::format("the namespace of the object ({}) does not match the namespace on the request ({})", ns, c.ns));
      m["namespace"] = c.ns;
    } else {
      m.erase("namespace");
    }
    auto api_version = string_at(object, {"apiVersion"}), kind = string_at(object, {"kind"});
    if ((!api_version.empty() && api_version != info.api_version(c.version)) || (!kind.empty() && kind != info.kind))
      co_return bad_request(fmt::format("the object is a {} of {}, where a {} of {} is expected", kind, api_version, info.kind, info.api_version(c.version)));
    object["apiVersion"] = info.api_version(c.version);
    object["kind"] = info.kind;

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
      copy_member(m, old_meta, key);

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
      copy_member(object, current, "status");
    }
    auto context = strategy_context(c);
    context.warnings = &c.warnings;
    auto prepared = info.strategy->prepare_update(context, object, current, c.subresource);
    if (!prepared.ok()) co_return Error(prepared.error());

    // managedFields and resourceVersion alone are no reason to ask anybody.
    auto attrs = attributes(c, o.operation);
    auto mutated = co_await s_.webhooks->mutate(attrs, object, current, c.warnings);
    if (!mutated.ok()) co_return Error(mutated.error());
    Json before_admission;
    if (*mutated != object) {
      if (o.apply) before_admission = object;
      object = std::move(*mutated);
      auto again = decode(c, object, false);
      if (!again.ok()) co_return Error(again.error());
      if (c.subresource.empty() && served && served->status) copy_member(object, current, "status");
    }
    if (info.strategy->has_generation() && c.subresource != "status") {
      bool split = !info.custom || (served && served->status);
      bool changed = split ? without(object, {"metadata", "status"}) != without(current, {"metadata", "status"})
                           : without(object, {"metadata"}) != without(current, {"metadata"});
      if (changed) meta(object)["generation"] = int_at(old_meta, {"generation"}) + 1;
    }
    auto schema = s_.schemas->validator(info, c.version);
    if (!schema.ok()) co_return Error(schema.error());
    auto now = s_.clock().wall();
    if (!o.apply) schema::track_update(&current, object, writer_of(c, now), schema->get());
    else if (!before_admission.is_null()) schema::track_apply_result(before_admission, object, schema->get());

    std::vector<Cause> causes;
    for (auto& e : to_causes(schema::validate_metadata(object, info.namespaced, &current))) causes.push_back(std::move(e));
    if (old_meta.contains("deletionTimestamp")) {
      std::vector<std::string> had;
      if (const Json* f = find(current, {"metadata", "finalizers"}); f && f->is_array()) had = f->get<std::vector<std::string>>();
      if (const Json* f = find(object, {"metadata", "finalizers"}); f && f->is_array())
        for (const auto& one : *f)
          if (one.is_string() && std::find(had.begin(), had.end(), one.get<std::string>()) == had.end())
            causes.push_back({"metadata.finalizers", "FieldValueForbidden",
                              fmt::format("Forbidden: no new finalizers can be added if the object is being deleted, found new finalizers []string{{\"{}\"}}", one.get<std::string>())});
    }
    if (*schema) for (auto& e : to_causes((*schema)->validate(object, &current))) causes.push_back(std::move(e));
    if (!info.custom)
      for (auto& e : to_causes(schema::validate_builtin(info.group, c.version, info.kind, object, &current))) causes.push_back(std::move(e));
    for (auto& e : info.strategy->validate(context, object, &current)) causes.push_back(std::move(e));
    if (!causes.empty()) co_return invalid(info.group, info.kind, c.name, causes);
    auto earned = check_escalation(s_, c.user, info, object, &current);
    if (!earned.ok()) co_return Error(earned.error());
    auto admitted = co_await s_.webhooks->validate(attrs, object, current, c.warnings);
    if (!admitted.ok()) co_return Error(admitted.error());

    bool remove = old_meta.contains("deletionTimestamp") && !has_finalizers(info, object) &&
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

Awaitable<Result<Deleted>> Objects::remove(WriteContext& c, Deletion d) {
  const auto& info = *c.resource;
  if (info.id == "namespaces" && (c.name == "default" || c.name == "kube-system" || c.name == "kube-public"))
    co_return forbidden("", "namespaces", c.name, "this namespace may not be deleted");
  for (int attempt = 0;; ++attempt) {
    auto head = s_.store->head(info.id, c.ns, c.name);
    if (!head) co_return not_found(info.group, info.plural, c.name);
    if (!d.uid.empty() && d.uid != head->index.uid)
      co_return conflict(info.group, info.plural, c.name,
                         fmt::format("Precondition failed: UID in precondition: {}, UID in object meta: {}", d.uid, head->index.uid));
    if (!d.resource_version.empty() && d.resource_version != std::to_string(head->revision))
      co_return conflict(info.group, info.plural, c.name,
                         fmt::format("Precondition failed: ResourceVersion in precondition: {}, ResourceVersion in object meta: {}", d.resource_version, head->revision));
    auto text = s_.store->text(info.id, head);
    if (!text.ok()) {
      if (attempt < 50) { co_await run_blocking([] {}); continue; }
      co_return describe(text.error(), info, c.name);
    }
    NV_CO_TRY(auto stored, parse_json(**text, 512));
    auto converted = co_await s_.converter->to_version(c.resource, stored, c.version);
    if (!converted.ok()) co_return Error(converted.error());
    const Json current = std::move(*converted);

    auto attrs = attributes(c, "DELETE");
    attrs.options = d.options;
    auto admitted = co_await s_.webhooks->validate(attrs, Json(), current, c.warnings);
    if (!admitted.ok()) co_return Error(admitted.error());

    Json object = current;
    auto& m = meta(object);
    if (!d.propagation.empty()) {
      std::vector<std::string> finalizers;
      if (auto it = m.find("finalizers"); it != m.end() && it->is_array())
        for (const auto& f : *it) if (f != "orphan" && f != "foregroundDeletion" && f.is_string()) finalizers.push_back(f);
      if (d.propagation == "Orphan") finalizers.push_back("orphan");
      if (d.propagation == "Foreground") finalizers.push_back("foregroundDeletion");
      if (finalizers.empty()) m.erase("finalizers"); else m["finalizers"] = finalizers;
    }
    bool held = has_finalizers(info, object);
    bool deleting = m.contains("deletionTimestamp");
    auto grace = info.strategy->grace_seconds(object, d.grace_seconds.value_or(-1));
    auto now = s_.clock().wall();
    bool at_once = !held && grace == 0;
    if (!at_once) {
      if (!deleting) {
        m["deletionTimestamp"] = format_time(now + std::chrono::seconds(grace));
        m["deletionGracePeriodSeconds"] = grace;
        if (int_at(m, {"generation"}) > 0) m["generation"] = int_at(m, {"generation"}) + 1;
        if (info.id == "namespaces") object["status"]["phase"] = "Terminating";
      } else if (d.grace_seconds && grace < int_at(m, {"deletionGracePeriodSeconds"})) {
        m["deletionGracePeriodSeconds"] = grace;
        m["deletionTimestamp"] = format_time(now + std::chrono::seconds(grace));
      }
      if (object == current) {
        Deleted unchanged;
        unchanged.object = std::move(object);
        co_return unchanged;
      }
    }
    auto written = co_await finish(c, std::move(object), &stored, head, at_once);
    if (written.ok()) {
      Deleted out;
      out.object = std::move(written->object);
      out.gone = at_once;
      co_return out;
    }
    bool lost = written.error().reason == "Conflict" || written.error().reason == "NotFound";
    if (lost && attempt < 50) continue;
    co_return describe(written.error(), info, c.name);
  }
}

Awaitable<Result<Json>> Objects::modify(ResourcePtr resource, std::string ns, std::string name,
                                        std::function<Result<bool>(Json&)> change, bool dry_run) {
  const auto& info = *resource;
  for (int attempt = 0;; ++attempt) {
    auto head = s_.store->head(info.id, ns, name);
    if (!head) co_return not_found(info.group, info.plural, name);
    auto text = s_.store->text(info.id, head);
    if (!text.ok()) {
      if (attempt < 50) { co_await run_blocking([] {}); continue; }
      co_return describe(text.error(), info, name);
    }
    NV_CO_TRY(auto object, parse_json(**text, 512));
    auto changed = change(object);
    if (!changed.ok()) co_return Error(changed.error());
    if (!*changed || dry_run) co_return object;
    Store::Write w;
    w.resource = info.id;
    w.ns = ns;
    w.name = name;
    w.expected = head->revision;
    w.index = index_of(info, object);
    w.remove = find(object, {"metadata", "deletionTimestamp"}) && !has_finalizers(info, object) &&
               int_at(object, {"metadata", "deletionGracePeriodSeconds"}) == 0;
    w.value = object;
    auto done = co_await s_.store->commit(std::move(w));
    if (done.ok()) {
      meta(object)["resourceVersion"] = std::to_string((*done)->revision);
      co_return object;
    }
    bool lost = done.error().reason == "Conflict" || done.error().reason == "NotFound";
    if (!lost || attempt >= 50) co_return describe(done.error(), info, name);
  }
}

}  // namespace nodevirt::apiserver
