#include "standalone/apiserver/admission/quota.hpp"

#include <fmt/format.h>

#include "standalone/apiserver/admission/quota_use.hpp"
#include "standalone/apiserver/errors.hpp"
#include "standalone/apiserver/store/store.hpp"

namespace nodevirt::apiserver {

namespace {

using api::Quantity;

bool scoped(const Json& spec) { return find(spec, {"scopes"}) || find(spec, {"scopeSelector"}); }

Quantity used_of(const Store& store, const std::string& ns, const std::string& key, const Json& spec) {
  Quantity sum;
  const std::string id = quota_kind(key);
  const bool count = quota_counts_only(key) && !scoped(spec);
  store.each_head(id, ns, [&](const StoredPtr& stored) {
    if (count) { sum += Quantity::of(1); return; }
    auto text = store.text(id, stored);
    auto o = text.ok() ? parse_json(**text) : Result<Json>(text.error());
    if (o.ok() && quota_selects(spec, id, *o)) sum += quota_use(key, id, *o);
  });
  return sum;
}

void add(std::string& list, const std::string& key, const Quantity& q) { list += (list.empty() ? "" : ",") + key + "=" + quota_text(key, q); }

Result<void> check(const Store& store, const std::string& ns, const std::string& id, const std::string& quota, const Json& spec, const Json& object,
                   const Json* old) {
  const Json* hard = find(spec, {"hard"});
  if (!hard || !hard->is_object() || !quota_selects(spec, id, object)) return {};
  std::string unsaid, requested, used, limited;
  for (const auto& [key, limit] : hard->items()) {
    if (id == "pods" && !old)
      if (auto names = quota_unsaid(key, object); !names.empty()) unsaid += fmt::format("{}{} for: {}", unsaid.empty() ? "" : "; ", key, fmt::join(names, ","));
    auto more = quota_use(key, id, object);
    if (old) more -= quota_use(key, id, *old);
    if (more.zero() || more.negative()) continue;
    const auto now = used_of(store, ns, key, spec);
    auto total = now;
    total += more;
    if (!(total > quota_quantity(limit))) continue;
    add(requested, key, more);
    add(used, key, now);
    add(limited, key, quota_quantity(limit));
  }
  if (!unsaid.empty()) return Error(Code::PermissionDenied, fmt::format("failed quota: {}: must specify {}", quota, unsaid));
  if (!requested.empty())
    return Error(Code::PermissionDenied, fmt::format("exceeded quota: {}, requested: {}, used: {}, limited: {}", quota, requested, used, limited));
  return {};
}

}  // namespace

Json quota_usage(const Store& store, const std::string& ns, const Json& spec) {
  Json used = Json::object();
  const Json* hard = find(spec, {"hard"});
  if (!hard || !hard->is_object()) return used;
  for (const auto& [key, limit] : hard->items()) used[key] = quota_text(key, used_of(store, ns, key, spec));
  return used;
}

Result<void> check_quotas(const Store& store, const ResourceInfo& info, const Json& object, const Json* old) {
  // Only these can come to use more by a change.
  if (old && info.id != "services" && info.id != "persistentvolumeclaims") return {};
  const auto ns = string_at(object, {"metadata", "namespace"}), name = string_at(object, {"metadata", "name"});
  if (ns.empty()) return {};
  Result<void> out;
  store.each_head("resourcequotas", ns, [&](const StoredPtr& stored) {
    if (!out.ok()) return;
    auto text = store.text("resourcequotas", stored);
    auto quota = text.ok() ? parse_json(**text) : Result<Json>(text.error());
    const Json* spec = quota.ok() ? find(*quota, {"spec"}) : nullptr;
    if (!spec) return;
    auto fits = check(store, ns, info.id, stored->name, *spec, object, old);
    if (!fits.ok()) out = forbidden(info.group, info.plural, name, fits.error().message);
  });
  return out;
}

}  // namespace nodevirt::apiserver
