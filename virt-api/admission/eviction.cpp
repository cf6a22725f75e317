#include "virt-api/admission/eviction.hpp"

#include <fmt/format.h>

#include "api/names.hpp"

namespace nodevirt::virt_api {

namespace {

AdmissionAnswer too_many(std::string message) { return deny(429, "TooManyRequests", std::move(message)); }

bool migratable(const Json& vmi) {
  const Json* conditions = find(vmi, {"status", "conditions"});
  if (!conditions || !conditions->is_array()) return false;
  for (const auto& c : *conditions)
    if (string_at(c, {"type"}) == "LiveMigratable") return string_at(c, {"status"}) == "True";
  return false;
}

bool live_launcher(const Json& pod) {
  auto phase = string_at(pod, {"status", "phase"});
  return string_at(pod, {"metadata", "labels", api::kAppLabel}) == "virt-launcher" && phase != "Succeeded" && phase != "Failed" &&
         !string_at(pod, {"metadata", "annotations", api::kDomainAnnotation}).empty();
}

bool dry_run(const AdmissionRequest& request) {
  const Json* list = find(request.object, {"deleteOptions", "dryRun"});
  return request.dry_run || (list && list->is_array() && !list->empty() && (*list)[0] == "All");
}

}  // namespace

EvictionDecision decide_eviction(const Json& pod, const Json& vmi, const std::string& fallback) {
  auto strategy = string_at(vmi, {"spec", "evictionStrategy"});
  if (strategy.empty()) strategy = fallback;
  auto ns = string_at(vmi, {"metadata", "namespace"}), name = string_at(vmi, {"metadata", "name"});
  bool mark = strategy == "External" || (strategy == "LiveMigrateIfPossible" && migratable(vmi));
  if (strategy == "LiveMigrate") {
    if (!migratable(vmi))
      return {false, false, fmt::format("VMI {} is configured with an eviction strategy but is not live-migratable", name)};
    mark = true;
  }
  if (!mark) return {};
  auto triggered = fmt::format("Eviction triggered evacuation of VMI \"{}/{}\"", ns, name);
  if (!string_at(vmi, {"status", "evacuationNodeName"}).empty()) return {false, false, "Evacuation in progress: " + triggered};
  if (string_at(vmi, {"status", "nodeName"}) != string_at(pod, {"spec", "nodeName"})) return {false, false, "Eviction request for target Pod"};
  return {false, true, triggered};
}

Awaitable<AdmissionAnswer> admit_eviction(client::Client client, AdmissionRequest request) {
  auto pod = co_await client.get(k8s::resources::kPods, request.ns, request.name);
  if (!pod.ok() || !live_launcher(*pod)) co_return allow();
  auto name = string_at(*pod, {"metadata", "annotations", api::kDomainAnnotation});
  auto vmi = co_await client.get(k8s::resources::kVirtualMachineInstances, request.ns, name);
  if (!vmi.ok()) {
    if (vmi.error().code == Code::NotFound) co_return allow();  // nothing is left to protect
    co_return too_many("kubevirt failed getting the vmi: " + vmi.error().message);
  }
  std::string fallback = "None";
  if (string_at(*vmi, {"spec", "evictionStrategy"}).empty()) {
    std::string system(api::kSystemNamespace);
    auto kubevirt = co_await client.get(k8s::resources::kKubeVirts, system, "kubevirt");
    if (!kubevirt.ok() && kubevirt.error().code != Code::NotFound) co_return too_many("kubevirt failed getting its settings: " + kubevirt.error().message);
    if (kubevirt.ok()) fallback = string_at(*kubevirt, {"spec", "configuration", "evictionStrategy"}, "None");
  }
  auto decision = decide_eviction(*pod, *vmi, fallback);
  if (decision.allowed) co_return allow();
  if (decision.mark && !dry_run(request)) {
    Json patch = Json::array();
    patch.push_back({{"op", "add"}, {"path", "/status/evacuationNodeName"}, {"value", string_at(*pod, {"spec", "nodeName"})}});
    // An instance's status is no subresource.
    auto marked = co_await client.patch(k8s::resources::kVirtualMachineInstances, request.ns, name, client::PatchType::Json, patch);
    if (!marked.ok()) co_return too_many("kubevirt failed marking the vmi for eviction: " + marked.error().message);
  }
  co_return too_many(decision.message);
}

}  // namespace nodevirt::virt_api
