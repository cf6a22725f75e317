#include "standalone/apiserver/admission/quota.hpp"

#include <fmt/format.h>

#include "api/quantity.hpp"
#include "standalone/apiserver/errors.hpp"
#include "standalone/apiserver/store/store.hpp"

namespace nodevirt::apiserver {

namespace {

using api::Quantity;

Quantity parse(const Json& v) {
  auto q = Quantity::parse(v.is_string() ? v.get<std::string>() : v.dump());
  return q.ok() ? *q : Quantity();
}

bool is_binary(const std::string& key) { return key.find("memory") != std::string::npos || key.find("storage") != std::string::npos; }

/// What a resource is called in `count/...`.
std::string counted(const ResourceInfo& info) { return info.group.empty() ? info.plural : info.plural + "." + info.group; }

/// The store id that a countable key stands for; empty when it is none.
std::string id_of(const std::string& key) {
  for (const char* plain : {"pods", "services", "secrets", "configmaps", "persistentvolumeclaims", "resourcequotas"})
    if (key == plain) return key;
  if (key.starts_with("count/")) return key.substr(6);
  return "";
}

/// How much of `key` one object uses.
Quantity use(const std::string& key, const std::string& id, const Json& o) {
  if (auto counted_id = id_of(key); !counted_id.empty()) {
    if (counted_id != id) return {};
    if (key == "pods") {
      auto phase = string_at(o, {"status", "phase"});
      if (phase == "Succeeded" || phase == "Failed") return {};
    }
    return Quantity::of(1);
  }
  if (key == "services.nodeports") {
    if (id != "services") return {};
    auto type = string_at(o, {"spec", "type"});
    const Json* ports = find(o, {"spec", "ports"});
    return (type == "NodePort" || type == "LoadBalancer") && ports && ports->is_array() ? Quantity::of(std::int64_t(ports->size())) : Quantity();
  }
  if (key == "requests.storage") {
    if (id != "persistentvolumeclaims") return {};
    const Json* v = find(o, {"spec", "resources", "requests", "storage"});
    return v ? parse(*v) : Quantity();
  }
  if (id != "pods") return {};
  auto phase = string_at(o, {"status", "phase"});
  if (phase == "Succeeded" || phase == "Failed") return {};
  std::string kind = "requests", name = key;
  if (key.starts_with("requests.")) name = key.substr(9);
  else if (key.starts_with("limits.")) { kind = "limits"; name = key.substr(7); }
  Quantity sum, init;
  if (const Json* list = find(o, {"spec", "containers"}); list && list->is_array())
    for (const auto& c : *list) if (const Json* v = find(c, {"resources", kind, name})) sum += parse(*v);
  if (const Json* list = find(o, {"spec", "initContainers"}); list && list->is_array())
    for (const auto& c : *list)
      if (const Json* v = find(c, {"resources", kind, name})) { auto q = parse(*v); if (q > init) init = q; }
  return init > sum ? init : sum;
}

std::vector<std::string> kinds_of(const std::string& key) {
  if (auto id = id_of(key); !id.empty()) return {id};
  if (key == "services.nodeports") return {"services"};
  if (key == "requests.storage") return {"persistentvolumeclaims"};
  return {"pods"};
}

Quantity used_of(const Store& store, const std::string& ns, const std::string& key, const std::string& except) {
  Quantity sum;
  for (const auto& id : kinds_of(key))
    store.each_head(id, ns, [&](const StoredPtr& stored) {
      if (!except.empty() && stored->name == except) return;
      bool only_count = !id_of(key).empty() && key != "pods";
      if (only_count) { sum += Quantity::of(1); return; }
      auto text = store.text(id, stored);
      auto o = text.ok() ? parse_json(**text) : Result<Json>(text.error());
      if (o.ok()) sum += use(key, id, *o);
    });
  return sum;
}

}  // namespace

Json quota_usage(const Store& store, const std::string& ns, const Json& hard) {
  Json used = Json::object();
  if (!hard.is_object()) return used;
  for (const auto& [key, limit] : hard.items()) used[key] = used_of(store, ns, key, "").to_string(is_binary(key));
  return used;
}

Result<void> check_quotas(const Store& store, const ResourceInfo& info, const Json& object) {
  auto ns = string_at(object, {"metadata", "namespace"}), name = string_at(object, {"metadata", "name"});
  if (ns.empty()) return {};
  Result<void> out;
  store.each_head("resourcequotas", ns, [&](const StoredPtr& stored) {
    if (!out.ok()) return;
    auto text = store.text("resourcequotas", stored);
    auto quota = text.ok() ? parse_json(**text) : Result<Json>(text.error());
    if (!quota.ok()) return;
    const Json* hard = find(*quota, {"spec", "hard"});
    if (!hard || !hard->is_object()) return;
    for (const auto& [key, limit] : hard->items()) {
      auto more = use(key, info.custom ? counted(info) : info.id, object);
      if (more.zero()) continue;
      auto used = used_of(store, ns, key, "");
      auto total = used;
      total += more;
      if (total > parse(limit)) {
        out = forbidden(info.group, info.plural, name,
                        fmt::format("exceeded quota: {}, requested: {}={}, used: {}={}, limited: {}={}", stored->name, key, more.to_string(is_binary(key)),
                                    key, used.to_string(is_binary(key)), key, parse(limit).to_string(is_binary(key))));
        return;
      }
    }
  });
  return out;
}

}  // namespace nodevirt::apiserver
