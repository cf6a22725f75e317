#include "standalone/apiserver/admission/quota_use.hpp"

namespace nodevirt::apiserver {

namespace {

using api::Quantity;

constexpr std::string_view kClassSuffix = ".storageclass.storage.k8s.io/";

bool ended(const Json& pod) {
  auto phase = string_at(pod, {"status", "phase"});
  return phase == "Succeeded" || phase == "Failed";
}

/// "requests" or "limits", and the resource's name in a container's list; empty name: no compute resource.
std::pair<std::string, std::string> compute(const std::string& key) {
  if (key == "requests.storage" || (key.find('/') != std::string::npos && !key.starts_with("requests."))) return {};
  if (key.starts_with("requests.")) return {"requests", key.substr(9)};
  if (key.starts_with("limits.")) return {"limits", key.substr(7)};
  if (key == "cpu" || key == "memory" || key == "ephemeral-storage" || key.starts_with("hugepages-")) return {"requests", key};
  return {};
}

/// A request that is not given is the limit.
const Json* amount(const Json& container, const std::string& kind, const std::string& name) {
  const Json* v = find(container, {"resources", kind, name});
  return v || kind == "limits" ? v : find(container, {"resources", "limits", name});
}

template <class F>
void each_container(const Json& pod, const char* list, F f) {
  if (const Json* all = find(pod, {"spec", list}); all && all->is_array())
    for (const auto& c : *all) f(c);
}

bool best_effort(const Json& pod) {
  bool any = false;
  for (const char* list : {"containers", "initContainers"})
    each_container(pod, list, [&](const Json& c) {
      for (const char* kind : {"requests", "limits"})
        for (const char* name : {"cpu", "memory"}) {
          const Json* v = find(c, {"resources", kind, name});
          any = any || (v && !quota_quantity(*v).zero());
        }
    });
  return !any;
}

bool in_scope(const std::string& scope, const Json& pod) {
  const bool terminating = find(pod, {"spec", "activeDeadlineSeconds"}) != nullptr;
  if (scope == "Terminating") return terminating;
  if (scope == "NotTerminating") return !terminating;
  if (scope == "BestEffort") return best_effort(pod);
  if (scope == "NotBestEffort") return !best_effort(pod);
  if (scope == "PriorityClass") return !string_at(pod, {"spec", "priorityClassName"}).empty();
  if (scope == "CrossNamespacePodAffinity") {
    for (const char* kind : {"podAffinity", "podAntiAffinity"})
      for (const char* when : {"requiredDuringSchedulingIgnoredDuringExecution", "preferredDuringSchedulingIgnoredDuringExecution"})
        if (const Json* terms = find(pod, {"spec", "affinity", kind, when}); terms && terms->is_array())
          for (const auto& t : *terms) {
            const Json* weighted = find(t, {"podAffinityTerm"});
            const Json& term = weighted ? *weighted : t;
            if (find(term, {"namespaces"}) || find(term, {"namespaceSelector"})) return true;
          }
    return false;
  }
  return false;
}

bool expression_holds(const Json& e, const Json& pod) {
  const std::string scope = string_at(e, {"scopeName"}), op = string_at(e, {"operator"}), name = string_at(pod, {"spec", "priorityClassName"});
  if (scope != "PriorityClass") return op == "Exists" && in_scope(scope, pod);
  bool listed = false;
  if (const Json* values = find(e, {"values"}); values && values->is_array())
    for (const auto& v : *values) listed = listed || (v.is_string() && v.get<std::string>() == name);
  if (op == "In") return listed;
  if (op == "NotIn") return !listed;
  if (op == "DoesNotExist") return name.empty();
  return op == "Exists" && !name.empty();
}

}  // namespace

Quantity quota_quantity(const Json& v) {
  auto q = Quantity::parse(v.is_string() ? v.get<std::string>() : v.dump());
  return q.ok() ? *q : Quantity();
}

std::string quota_text(const std::string& key, const Quantity& q) {
  return q.to_string(key.find("memory") != std::string::npos || key.find("storage") != std::string::npos || key.find("hugepages") != std::string::npos);
}

bool quota_counts_only(const std::string& key) {
  for (const char* plain : {"services", "secrets", "configmaps", "persistentvolumeclaims", "resourcequotas"})
    if (key == plain) return true;
  return key.starts_with("count/");
}

std::string quota_kind(const std::string& key) {
  if (key.starts_with("count/")) return key.substr(6);
  if (quota_counts_only(key)) return key;
  if (key.starts_with("services.")) return "services";
  if (key == "requests.storage" || key.find(kClassSuffix) != std::string::npos) return "persistentvolumeclaims";
  return "pods";
}

Quantity quota_use(const std::string& key, const std::string& id, const Json& o) {
  if (quota_kind(key) != id) return {};
  if (quota_counts_only(key)) return Quantity::of(1);
  if (id == "services") {
    auto type = string_at(o, {"spec", "type"});
    if (key == "services.loadbalancers") return Quantity::of(type == "LoadBalancer" ? 1 : 0);
    const Json* ports = find(o, {"spec", "ports"});
    const bool takes = key == "services.nodeports" && (type == "NodePort" || type == "LoadBalancer") && ports && ports->is_array();
    return takes ? Quantity::of(std::int64_t(ports->size())) : Quantity();
  }
  if (id == "persistentvolumeclaims") {
    std::string what = key;
    if (auto at = key.find(kClassSuffix); at != std::string::npos) {
      if (string_at(o, {"spec", "storageClassName"}) != key.substr(0, at)) return {};
      what = key.substr(at + kClassSuffix.size());
    }
    if (what == "persistentvolumeclaims") return Quantity::of(1);
    const Json* v = what == "requests.storage" ? find(o, {"spec", "resources", "requests", "storage"}) : nullptr;
    return v ? quota_quantity(*v) : Quantity();
  }
  if (id != "pods" || ended(o)) return {};
  if (key == "pods") return Quantity::of(1);
  const auto [kind, name] = compute(key);
  if (name.empty()) return {};
  Quantity sum, init;
  each_container(o, "containers", [&, kind = kind, name = name](const Json& c) { if (const Json* v = amount(c, kind, name)) sum += quota_quantity(*v); });
  each_container(o, "initContainers", [&, kind = kind, name = name](const Json& c) {
    if (const Json* v = amount(c, kind, name)) { auto q = quota_quantity(*v); if (q > init) init = q; }
  });
  if (init > sum) sum = init;
  if (const Json* overhead = find(o, {"spec", "overhead", name})) sum += quota_quantity(*overhead);
  return sum;
}

bool quota_selects(const Json& spec, const std::string& id, const Json& object) {
  const Json* scopes = find(spec, {"scopes"});
  const Json* selector = find(spec, {"scopeSelector", "matchExpressions"});
  const bool scoped = (scopes && scopes->is_array() && !scopes->empty()) || (selector && selector->is_array() && !selector->empty());
  if (!scoped) return true;
  if (id != "pods") return false;
  if (scopes && scopes->is_array())
    for (const auto& s : *scopes)
      if (!s.is_string() || !in_scope(s.get<std::string>(), object)) return false;
  if (selector && selector->is_array())
    for (const auto& e : *selector)
      if (!expression_holds(e, object)) return false;
  return true;
}

std::vector<std::string> quota_unsaid(const std::string& key, const Json& pod) {
  std::vector<std::string> out;
  const auto [kind, name] = compute(key);
  if (name != "cpu" && name != "memory") return out;
  for (const char* list : {"containers", "initContainers"})
    each_container(pod, list, [&, kind = kind, name = name](const Json& c) { if (!amount(c, kind, name)) out.push_back(string_at(c, {"name"})); });
  return out;
}

}  // namespace nodevirt::apiserver
