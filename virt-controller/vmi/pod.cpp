#include "virt-controller/vmi/pod.hpp"

#include "api/names.hpp"
#include "pkg/base/id.hpp"
#include "virt-controller/vmi/overhead.hpp"
#include "virt-controller/vmi/pod_volumes.hpp"

namespace nodevirt::virt_controller::vmi {

namespace {

constexpr std::string_view kHashSpace = "b1f7a3d2-3a52-5e39-8a35-2c9f0d1e4b77";

std::string short_hash(const std::string& text) {
  static constexpr std::string_view alphabet = "bcdfghjklmnpqrstvwxz2456789";
  std::string out, hash = uuid_v5(kHashSpace, text);
  for (std::size_t i = 0; out.size() < 5 && i + 1 < hash.size(); ++i) {
    if (hash[i] == '-' || hash[i + 1] == '-') continue;
    out += alphabet[static_cast<std::size_t>(std::stoi(hash.substr(i, 2), nullptr, 16)) % alphabet.size()];
    ++i;
  }
  return out;
}

// The first DNS label of the name, as a host is called.
std::string hostname(const api::Instance& vmi) {
  if (!vmi.spec.hostname.empty()) return vmi.spec.hostname;
  std::string name = vmi.metadata.name.substr(0, std::min<std::size_t>(vmi.metadata.name.find('.'), 63));
  while (!name.empty() && name.back() == '-') name.pop_back();
  return name;
}

api::Quantity bytes(std::int64_t n) { return api::Quantity::of(n); }

Json resources(const api::DomainSpec& domain) {
  const auto& given = domain.resources;
  api::Quantity overhead = bytes(memory_overhead(domain));
  Json requests = Json::object(), limits = Json::object();
  auto cpu = given.requests.find("cpu");
  auto cpu_limit = given.limits.find("cpu");
  api::Quantity share = api::Quantity::milli(100 * static_cast<std::int64_t>(api::cpu_topology(domain).vcpus()));
  requests["cpu"] = (cpu != given.requests.end() ? cpu->second : share).to_string();
  if (cpu_limit != given.limits.end()) limits["cpu"] = cpu_limit->second.to_string();

  // requests.memory below memory.guest is a deliberate overcommitment.
  auto asked = given.requests.find("memory");
  api::Quantity memory = asked != given.requests.end() ? asked->second : bytes(api::guest_memory_bytes(domain));
  if (!given.overcommit_guest_overhead) memory += overhead;
  requests["memory"] = memory.to_string(true);
  if (auto limit = given.limits.find("memory"); limit != given.limits.end()) {
    api::Quantity with = limit->second;
    with += overhead;
    limits["memory"] = with.to_string(true);
  }
  for (const auto& [name, amount] : given.requests)
    if (name != "cpu" && name != "memory") requests[name] = amount.to_string();
  for (const auto& [name, amount] : given.limits)
    if (name != "cpu" && name != "memory") limits[name] = amount.to_string();
  // Every node that may run guests offers these; whether KVM really works is found out there.
  for (auto device : {api::kKvmDevice, api::kTunDevice}) {
    requests[std::string(device)] = "1";
    limits[std::string(device)] = "1";
  }
  return {{"requests", std::move(requests)}, {"limits", std::move(limits)}};
}

Json metadata(const Json& object, const api::Instance& vmi) {
  Json labels = Json::object();
  for (const auto& [key, value] : vmi.metadata.labels)
    if (key != api::kNodeNameLabel && key != api::kMigrationTargetNodeLabel && key != api::kMigrationJobLabel) labels[key] = value;
  labels[std::string(api::kAppLabel)] = "virt-launcher";
  labels[std::string(api::kCreatedByLabel)] = vmi.metadata.uid;
  labels[std::string(api::kVmNameLabel)] = label_value(vmi.metadata.name);
  Json annotations = {{std::string(api::kDomainAnnotation), vmi.metadata.name},
                      {"kubectl.kubernetes.io/default-container", std::string(api::kComputeContainer)}};
  Json owner = {{"apiVersion", string_at(object, {"apiVersion"}, "kubevirt.io/v1")}, {"kind", "VirtualMachineInstance"},
                {"name", vmi.metadata.name}, {"uid", vmi.metadata.uid}, {"controller", true}, {"blockOwnerDeletion", true}};
  return {{"name", pod_name(vmi.metadata.name, vmi.metadata.uid)}, {"namespace", vmi.metadata.namespace_},
          {"labels", std::move(labels)}, {"annotations", std::move(annotations)}, {"ownerReferences", Json::array({owner})}};
}

Json container(const api::Instance& vmi, const PodOptions& o, const PodVolumes& v, std::int64_t grace) {
  Json command = Json::array({std::string(api::kProgramDir) + "/virt-launcher-monitor", "--name", vmi.metadata.name, "--namespace",
                              vmi.metadata.namespace_, "--uid", vmi.metadata.uid, "--grace-period", std::to_string(grace)});
  Json security = {{"runAsUser", o.launcher_uid}, {"runAsGroup", o.launcher_uid}, {"runAsNonRoot", true},
                   {"privileged", false}, {"allowPrivilegeEscalation", false}, {"capabilities", {{"drop", Json::array({"ALL"})}}}};
  Json out = {{"name", std::string(api::kComputeContainer)}, {"image", o.launcher_image}, {"imagePullPolicy", "IfNotPresent"},
              {"command", std::move(command)}, {"securityContext", std::move(security)}, {"resources", resources(vmi.spec.domain)},
              {"volumeMounts", v.mounts}};
  if (!v.devices.empty()) out["volumeDevices"] = v.devices;
  return out;
}

void placement(Json& spec, const api::Instance& vmi) {
  Json selector = {{std::string(api::kSchedulableLabel), "true"}};
  for (const auto& [key, value] : vmi.spec.node_selector) selector[key] = value;
  if (!vmi.spec.architecture.empty()) selector["kubernetes.io/arch"] = vmi.spec.architecture;
  spec["nodeSelector"] = std::move(selector);
  if (!vmi.spec.affinity.is_null()) spec["affinity"] = vmi.spec.affinity;
  if (!vmi.spec.tolerations.is_null()) spec["tolerations"] = vmi.spec.tolerations;
  if (!vmi.spec.topology_spread_constraints.is_null()) spec["topologySpreadConstraints"] = vmi.spec.topology_spread_constraints;
  if (!vmi.spec.priority_class_name.empty()) spec["priorityClassName"] = vmi.spec.priority_class_name;
  if (!vmi.spec.scheduler_name.empty()) spec["schedulerName"] = vmi.spec.scheduler_name;
}

}  // namespace

std::string pod_name(const std::string& name, const std::string& uid) {
  return "virt-launcher-" + name.substr(0, 230) + "-" + short_hash(uid);
}

std::string label_value(const std::string& name) {
  if (name.size() <= 63) return name;
  std::string head = name.substr(0, 57);
  while (!head.empty() && (head.back() == '-' || head.back() == '.')) head.pop_back();
  return head + "-" + short_hash(name);
}

Result<Json> render_pod(const Json& object, const api::Instance& vmi, const PodOptions& options) {
  NV_TRY(PodVolumes volumes, pod_volumes(vmi, options));
  std::int64_t grace = vmi.spec.termination_grace_period_seconds.value_or(kDefaultGrace);
  Json spec = {{"restartPolicy", "Never"},
               {"terminationGracePeriodSeconds", grace + kGracePad},
               {"automountServiceAccountToken", false},
               {"enableServiceLinks", false},
               {"hostname", hostname(vmi)},
               {"securityContext", {{"runAsUser", options.launcher_uid}, {"runAsGroup", options.launcher_uid},
                                    {"fsGroup", options.launcher_uid}, {"runAsNonRoot", true},
                                    {"seccompProfile", {{"type", "RuntimeDefault"}}}}},
               {"readinessGates", Json::array({Json{{"conditionType", std::string(api::kUnpausedGate)}}})},
               {"containers", Json::array({container(vmi, options, volumes, grace)})},
               {"volumes", volumes.volumes}};
  if (!vmi.spec.subdomain.empty()) spec["subdomain"] = vmi.spec.subdomain;
  if (!vmi.spec.dns_policy.empty()) spec["dnsPolicy"] = vmi.spec.dns_policy;
  if (!vmi.spec.dns_config.is_null()) spec["dnsConfig"] = vmi.spec.dns_config;
  for (const auto& secret : volumes.pull_secrets) spec["imagePullSecrets"].push_back(Json{{"name", secret}});
  placement(spec, vmi);
  return Json{{"apiVersion", "v1"}, {"kind", "Pod"}, {"metadata", metadata(object, vmi)}, {"spec", std::move(spec)}};
}

}  // namespace nodevirt::virt_controller::vmi
