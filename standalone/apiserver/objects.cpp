#include "standalone/apiserver/objects.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "standalone/apiserver/admission/quota.hpp"
#include "standalone/apiserver/crd/converter.hpp"
#include "standalone/apiserver/object_steps.hpp"
#include "standalone/apiserver/schema_cache.hpp"
#include "standalone/schema/builtin.hpp"

namespace nodevirt::apiserver {

namespace {

constexpr std::string_view kMetaFields[] = {
    "annotations", "creationTimestamp", "deletionGracePeriodSeconds", "deletionTimestamp", "finalizers", "generateName",
    "generation", "labels", "managedFields", "name", "namespace", "ownerReferences", "resourceVersion", "selfLink", "uid"};

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
  mutable_meta(object)["resourceVersion"] = std::to_string((*done)->revision);
  out.object = std::move(object);
  co_return out;
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
    w.remove = find(object, {"metadata", "deletionTimestamp"}) && !held_by_finalizers(info, object) &&
               int_at(object, {"metadata", "deletionGracePeriodSeconds"}) == 0;
    w.value = object;
    auto done = co_await s_.store->commit(std::move(w));
    if (done.ok()) {
      mutable_meta(object)["resourceVersion"] = std::to_string((*done)->revision);
      co_return object;
    }
    bool lost = done.error().reason == "Conflict" || done.error().reason == "NotFound";
    if (!lost || attempt >= 50) co_return describe(done.error(), info, name);
  }
}

}  // namespace nodevirt::apiserver
