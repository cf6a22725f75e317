#include "api/vmi/instance.hpp"

#include "api/vmi/decode.hpp"

namespace nodevirt::api {

namespace {

Metadata read_metadata(const FieldReader& r) {
  Metadata m;
  m.name = r.text("name");
  m.namespace_ = r.text("namespace");
  m.uid = r.text("uid");
  m.resource_version = r.text("resourceVersion");
  m.generation = r.integer("generation", 0, std::numeric_limits<std::int64_t>::max());
  m.labels = r.texts("labels");
  m.annotations = r.texts("annotations");
  m.finalizers = r.text_list("finalizers");
  m.creation_timestamp = r.text("creationTimestamp");
  m.deletion_timestamp = r.text("deletionTimestamp");
  return m;
}

AccessCredential read_credential(const FieldReader& r) {
  AccessCredential c;
  for (const char* kind : {"sshPublicKey", "userPassword"}) {
    FieldReader k = r.at(kind);
    if (!k.present()) continue;
    c.kind = kind;
    c.secret_name = k.at("source").at("secret").text("secretName");
    FieldReader method = k.at("propagationMethod");
    for (const char* p : {"noCloud", "configDrive", "qemuGuestAgent"})
      if (method.has(p)) c.propagation = p;
    c.users = method.at("qemuGuestAgent").text_list("users");
  }
  return c;
}

InstanceSpec read_spec(const FieldReader& r) {
  InstanceSpec s;
  s.domain = decode_domain(r.at("domain"));
  r.each("volumes", [&](const FieldReader& x) { s.volumes.push_back(decode_volume(x)); });
  r.each("networks", [&](const FieldReader& x) { s.networks.push_back(decode_network(x)); });
  s.hostname = r.text("hostname");
  s.subdomain = r.text("subdomain");
  s.architecture = r.text("architecture");
  s.eviction_strategy = r.text("evictionStrategy");
  s.start_strategy = r.text("startStrategy");
  if (r.has("terminationGracePeriodSeconds"))
    s.termination_grace_period_seconds =
        r.integer("terminationGracePeriodSeconds", 0, std::numeric_limits<std::int32_t>::max());
  s.node_selector = r.texts("nodeSelector");
  s.scheduler_name = r.text("schedulerName");
  s.priority_class_name = r.text("priorityClassName");
  s.service_account_name = r.text("serviceAccountName");
  s.dns_policy = r.text("dnsPolicy");
  r.each("accessCredentials", [&](const FieldReader& x) { s.access_credentials.push_back(read_credential(x)); });
  s.affinity = r.raw("affinity");
  s.tolerations = r.raw("tolerations");
  s.topology_spread_constraints = r.raw("topologySpreadConstraints");
  s.dns_config = r.raw("dnsConfig");
  s.liveness_probe = r.raw("livenessProbe");
  s.readiness_probe = r.raw("readinessProbe");
  return s;
}

}  // namespace

InstanceStatus decode_status(const FieldReader& r) {
  InstanceStatus s;
  s.phase = r.text("phase");
  s.reason = r.text("reason");
  s.node_name = r.text("nodeName");
  r.each("conditions", [&](const FieldReader& c) {
    s.conditions.push_back({c.text("type"), c.text("status"), c.text("reason"), c.text("message"),
                            c.text("lastTransitionTime"), c.text("lastProbeTime")});
  });
  r.each("interfaces", [&](const FieldReader& i) {
    s.interfaces.push_back({i.text("name"), i.text("interfaceName"), i.text("mac"), i.text("ipAddress"),
                            i.text("infoSource"), i.text_list("ipAddresses")});
  });
  s.active_pods = r.texts("activePods");
  s.machine_type = r.at("machine").text("type");
  s.revision_name = r.text("virtualMachineRevisionName");
  s.evacuation_node_name = r.text("evacuationNodeName");
  s.launcher_version = r.text("launcherContainerImageVersion");
  s.phase_transition_timestamps = r.raw("phaseTransitionTimestamps");
  return s;
}

const Condition* Instance::condition(std::string_view type) const {
  for (auto& c : status.conditions)
    if (c.type == type) return &c;
  return nullptr;
}

const Volume* Instance::volume(std::string_view name) const {
  for (auto& v : spec.volumes)
    if (v.name == name) return &v;
  return nullptr;
}

Result<Instance> decode_instance(const Json& object) {
  std::optional<Error> error;
  FieldReader r(&object, "", error);
  Instance i{read_metadata(r.at("metadata")), read_spec(r.at("spec")), decode_status(r.at("status"))};
  if (error) return *std::move(error);
  return i;
}

Result<InstanceSpec> decode_instance_spec(const Json& spec, std::string path) {
  std::optional<Error> error;
  InstanceSpec s = read_spec(FieldReader(&spec, std::move(path), error));
  if (error) return *std::move(error);
  return s;
}

Result<Metadata> decode_metadata(const Json& metadata, std::string path) {
  std::optional<Error> error;
  Metadata m = read_metadata(FieldReader(&metadata, std::move(path), error));
  if (error) return *std::move(error);
  return m;
}

std::int64_t guest_memory_bytes(const DomainSpec& d) {
  if (d.memory && d.memory->guest) return d.memory->guest->value();
  for (auto* list : {&d.resources.requests, &d.resources.limits})
    if (auto it = list->find("memory"); it != list->end()) return it->second.value();
  return 0;
}

Topology cpu_topology(const DomainSpec& d) {
  Topology t;
  if (d.cpu && (d.cpu->sockets || d.cpu->cores || d.cpu->threads)) {
    t.sockets = std::max(1u, d.cpu->sockets);
    t.cores = std::max(1u, d.cpu->cores);
    t.threads = std::max(1u, d.cpu->threads);
    return t;
  }
  for (auto* list : {&d.resources.limits, &d.resources.requests})
    if (auto it = list->find("cpu"); it != list->end() && it->second.value() > 0) {
      t.sockets = static_cast<std::uint32_t>(std::min<std::int64_t>(it->second.value(), 4096));
      return t;
    }
  return t;
}

}  // namespace nodevirt::api
