#include <algorithm>

#include <fmt/format.h>

#include "api/quantity.hpp"
#include "standalone/apiserver/resources/builtin_strategies.hpp"
#include "standalone/apiserver/store/store.hpp"

namespace nodevirt::apiserver {

namespace {

bool same_quantity(const Json& a, const Json& b) {
  auto text = [](const Json& v) { return v.is_string() ? v.get<std::string>() : v.dump(); };
  auto qa = api::Quantity::parse(text(a)), qb = api::Quantity::parse(text(b));
  return qa.ok() && qb.ok() && *qa == *qb;
}

/// Guaranteed: every container has equal, non-zero requests and limits of cpu and memory.
std::string qos_class(const Json& spec) {
  bool any = false, guaranteed = true;
  for (const char* kind : {"initContainers", "containers"}) {
    const Json* list = find(spec, {kind});
    if (!list || !list->is_array()) continue;
    for (const auto& c : *list) {
      const Json* requests = find(c, {"resources", "requests"});
      const Json* limits = find(c, {"resources", "limits"});
      for (const char* r : {"cpu", "memory"}) {
        const Json* request = requests ? find(*requests, {r}) : nullptr;
        const Json* limit = limits ? find(*limits, {r}) : nullptr;
        if (request || limit) any = true;
        if (!limit || (request && !same_quantity(*request, *limit))) guaranteed = false;
      }
    }
  }
  return !any ? "BestEffort" : guaranteed ? "Guaranteed" : "Burstable";
}

/// Requests that are absent are the limits.
void default_requests(Json& spec) {
  for (const char* kind : {"initContainers", "containers"}) {
    auto list = spec.find(kind);
    if (list == spec.end() || !list->is_array()) continue;
    for (auto& c : *list) {
      if (!find(c, {"resources", "limits"}) || !c["resources"]["limits"].is_object()) continue;
      auto& requests = c["resources"]["requests"];
      if (!requests.is_object()) requests = Json::object();
      for (const auto& [name, limit] : c["resources"]["limits"].items())
        if (!requests.contains(name)) requests[name] = limit;
    }
  }
}

void tolerate_for_a_while(Json& spec) {
  auto& list = spec["tolerations"];
  if (!list.is_array()) list = Json::array();
  for (const char* key : {"node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"}) {
    bool there = std::any_of(list.begin(), list.end(), [key](const Json& t) {
      auto k = string_at(t, {"key"});
      auto effect = string_at(t, {"effect"});
      return (k == key || (k.empty() && string_at(t, {"operator"}) == "Exists")) && (effect.empty() || effect == "NoExecute");
    });
    if (!there) list.push_back({{"key", key}, {"operator", "Exists"}, {"effect", "NoExecute"}, {"tolerationSeconds", 300}});
  }
}

class PodStrategy final : public PlainStrategy {
 public:
  PodStrategy() : PlainStrategy(false) {}

  Result<void> prepare_create(StrategyContext& c, Json& o) const override {
    auto& spec = o["spec"];
    if (!spec.is_object()) return {};
    default_requests(spec);
    tolerate_for_a_while(spec);
    if (!spec.contains("serviceAccountName")) spec["serviceAccountName"] = spec.value("serviceAccount", Json("default"));
    spec["serviceAccount"] = spec["serviceAccountName"];
    if (!spec.contains("enableServiceLinks")) spec["enableServiceLinks"] = true;
    NV_TRY_VOID(priority(c, o, spec));
    o["status"] = {{"phase", "Pending"}, {"qosClass", qos_class(spec)}};
    return {};
  }

  Result<void> prepare_update(StrategyContext&, Json& o, const Json& old, const std::string& sub) const override {
    if (sub == "status" || !o.contains("spec") || !old.contains("spec")) return {};
    auto& spec = o["spec"];
    // What the server itself filled in stays when a client sends its manifest again.
    for (const char* key : {"serviceAccountName", "serviceAccount", "enableServiceLinks", "priority", "preemptionPolicy", "nodeName"})
      if (!spec.contains(key) && old["spec"].contains(key)) spec[key] = old["spec"][key];
    if (spec.is_object()) { default_requests(spec); }
    return {};
  }

  std::vector<Cause> validate(StrategyContext&, const Json& o, const Json* old) const override {
    if (!old || !o.contains("spec") || !old->contains("spec")) return {};
    Json now = o["spec"], was = (*old)["spec"];
    if (!now.is_object() || !was.is_object()) return {};
    for (const char* kind : {"containers", "initContainers"})
      for (Json* s : {&now, &was})
        if (auto it = s->find(kind); it != s->end() && it->is_array())
          for (auto& one : *it) if (one.is_object()) one.erase("image");
    for (const char* key : {"activeDeadlineSeconds", "tolerations", "schedulingGates"}) now.erase(key), was.erase(key);
    if (int_at(was, {"terminationGracePeriodSeconds"}) < 0 && int_at(now, {"terminationGracePeriodSeconds"}) == 1)
      now.erase("terminationGracePeriodSeconds"), was.erase("terminationGracePeriodSeconds");
    std::vector<Cause> out;
    // A gated pod may still be steered.
    if (const Json* gates = find((*old)["spec"], {"schedulingGates"}); gates && gates->is_array() && !gates->empty())
      for (const char* key : {"nodeSelector", "affinity"}) now.erase(key), was.erase(key);
    if (now != was)
      out.push_back({"spec", "FieldValueForbidden",
                     "Forbidden: pod updates may not change fields other than `spec.containers[*].image`,"
                     "`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing "
                     "tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)"});
    const Json* before = find((*old)["spec"], {"tolerations"});
    const Json* after = find(o, {"spec", "tolerations"});
    if (before && before->is_array())
      for (const auto& t : *before)
        if (!after || !after->is_array() || std::find(after->begin(), after->end(), t) == after->end()) {
          out.push_back({"spec.tolerations", "FieldValueForbidden", "Forbidden: existing toleration can not be modified except its tolerationSeconds"});
          break;
        }
    return out;
  }

  std::int64_t grace_seconds(const Json& o, std::int64_t requested) const override {
    std::int64_t grace = requested >= 0 ? requested : int_at(o, {"spec", "terminationGracePeriodSeconds"}, 30);
    if (requested < 0 && find(o, {"metadata", "deletionTimestamp"})) grace = int_at(o, {"metadata", "deletionGracePeriodSeconds"}, grace);
    if (string_at(o, {"spec", "nodeName"}).empty()) return 0;   // nobody runs it
    auto phase = string_at(o, {"status", "phase"});
    if (phase == "Succeeded" || phase == "Failed") return 0;
    if (grace < 0) return 1;
    return grace;
  }

 private:
  static Result<void> priority(StrategyContext& c, const Json& o, Json& spec) {
    const std::string id = "priorityclasses.scheduling.k8s.io";
    auto name = string_at(spec, {"priorityClassName"});
    Json found;
    c.store.list(id, "", "", [&](const StoredPtr& stored) {
      if (!name.empty() && stored->name != name) return true;
      auto text = c.store.text(id, stored);
      auto pc = text.ok() ? parse_json(**text) : Result<Json>(text.error());
      if (!pc.ok() || (name.empty() && !bool_at(*pc, {"globalDefault"}))) return true;
      found = std::move(*pc);
      return false;
    });
    if (found.is_null()) {
      if (!name.empty())
        return forbidden("", "pods", string_at(o, {"metadata", "name"}), fmt::format("no PriorityClass with name {} was found", name));
      spec["priority"] = 0;
    } else {
      spec["priority"] = int_at(found, {"value"});
      spec["priorityClassName"] = string_at(found, {"metadata", "name"});
      if (!spec.contains("preemptionPolicy")) spec["preemptionPolicy"] = string_at(found, {"preemptionPolicy"}, "PreemptLowerPriority");
    }
    if (!spec.contains("preemptionPolicy")) spec["preemptionPolicy"] = "PreemptLowerPriority";
    return {};
  }
};

}  // namespace

const Strategy& pod_strategy() {
  static const PodStrategy s;
  return s;
}

}  // namespace nodevirt::apiserver
