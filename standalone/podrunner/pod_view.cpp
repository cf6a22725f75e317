#include "standalone/podrunner/pod_view.hpp"

namespace nodevirt::podrunner {
namespace {

std::vector<std::string> strings(const Json* list) {
  std::vector<std::string> out;
  if (list && list->is_array())
    for (const auto& s : *list)
      if (s.is_string()) out.push_back(s.get<std::string>());
  return out;
}

std::map<std::string, std::string> string_map(const Json* map) {
  std::map<std::string, std::string> out;
  if (map && map->is_object())
    for (const auto& [k, v] : map->items())
      if (v.is_string()) out.emplace(k, v.get<std::string>());
  return out;
}

std::map<std::string, api::Quantity> quantities(const Json* map) {
  std::map<std::string, api::Quantity> out;
  if (!map || !map->is_object()) return out;
  for (const auto& [k, v] : map->items()) {
    auto q = api::Quantity::parse(v.is_string() ? v.get<std::string>() : v.dump());
    if (q.ok()) out.emplace(k, *q);
  }
  return out;
}

std::optional<std::int64_t> optional_int(const Json* v) {
  if (!v || !v->is_number_integer()) return std::nullopt;
  return v->get<std::int64_t>();
}

/// A port by number, or by the name of one of the container's ports.
int port_of(const Json* port, const Json& container) {
  if (!port) return 0;
  if (port->is_number_integer()) return static_cast<int>(port->get<std::int64_t>());
  if (!port->is_string()) return 0;
  const Json* ports = find(container, {"ports"});
  if (ports && ports->is_array())
    for (const auto& p : *ports)
      if (string_at(p, {"name"}) == port->get<std::string>()) return static_cast<int>(int_at(p, {"containerPort"}));
  return std::atoi(port->get<std::string>().c_str());
}

std::optional<ProbeView> probe(const Json& container, std::string_view field) {
  const Json* p = find(container, {field});
  if (!p || !p->is_object()) return std::nullopt;
  ProbeView out;
  if (const Json* tcp = find(*p, {"tcpSocket"})) {
    out.kind = ProbeView::Kind::TcpSocket;
    out.host = string_at(*tcp, {"host"});
    out.port = port_of(find(*tcp, {"port"}), container);
  } else if (const Json* http = find(*p, {"httpGet"}); http && string_at(*http, {"scheme"}, "HTTP") == "HTTP") {
    out.kind = ProbeView::Kind::HttpGet;
    out.host = string_at(*http, {"host"});
    out.path = string_at(*http, {"path"}, "/");
    out.port = port_of(find(*http, {"port"}), container);
    if (const Json* headers = find(*http, {"httpHeaders"}); headers && headers->is_array())
      for (const auto& h : *headers) out.headers.emplace_back(string_at(h, {"name"}), string_at(h, {"value"}));
  }
  const auto positive = [&](std::string_view name, int fallback, int least) {
    return static_cast<int>(std::clamp<std::int64_t>(int_at(*p, {name}, fallback), least, 86400));
  };
  out.initial_delay = positive("initialDelaySeconds", 0, 0);
  out.period = positive("periodSeconds", 10, 1);
  out.timeout = positive("timeoutSeconds", 1, 1);
  out.success = positive("successThreshold", 1, 1);
  out.failure = positive("failureThreshold", 3, 1);
  return out;
}

ContainerView container_view(const Json& c) {
  ContainerView out;
  out.name = string_at(c, {"name"});
  out.image = string_at(c, {"image"});
  out.working_dir = string_at(c, {"workingDir"});
  out.command = strings(find(c, {"command"}));
  out.args = strings(find(c, {"args"}));
  if (const Json* v = find(c, {"env"}); v && v->is_array()) out.env = *v;
  if (const Json* v = find(c, {"envFrom"}); v && v->is_array()) out.env_from = *v;
  if (const Json* v = find(c, {"volumeMounts"}); v && v->is_array())
    for (const auto& m : *v)
      out.mounts.push_back({string_at(m, {"name"}), string_at(m, {"mountPath"}), string_at(m, {"subPath"}), bool_at(m, {"readOnly"})});
  if (const Json* v = find(c, {"volumeDevices"}); v && v->is_array())
    for (const auto& d : *v) out.devices.push_back({string_at(d, {"name"}), string_at(d, {"devicePath"}), "", false});
  out.requests = quantities(find(c, {"resources", "requests"}));
  out.limits = quantities(find(c, {"resources", "limits"}));
  out.run_as_user = optional_int(find(c, {"securityContext", "runAsUser"}));
  out.run_as_group = optional_int(find(c, {"securityContext", "runAsGroup"}));
  out.privileged = bool_at(c, {"securityContext", "privileged"});
  out.read_only_root = bool_at(c, {"securityContext", "readOnlyRootFilesystem"});
  out.liveness = probe(c, "livenessProbe");
  out.readiness = probe(c, "readinessProbe");
  out.startup = probe(c, "startupProbe");
  if (const Json* v = find(c, {"lifecycle"}); v && v->is_object()) out.has_lifecycle_hooks = !v->empty();
  if (const Json* v = find(c, {"ports"}); v && v->is_array())
    for (const auto& p : *v)
      if (const auto host = int_at(p, {"hostPort"}); host > 0 && host < 65536) {
        std::string protocol = string_at(p, {"protocol"}, "TCP");
        std::transform(protocol.begin(), protocol.end(), protocol.begin(), [](unsigned char x) { return std::tolower(x); });
        out.host_ports.push_back({static_cast<int>(host), static_cast<int>(int_at(p, {"containerPort"})), protocol, string_at(p, {"hostIP"})});
      }
  out.termination_log = string_at(c, {"terminationMessagePath"}, "/dev/termination-log");
  out.termination_policy = string_at(c, {"terminationMessagePolicy"}, "File");
  return out;
}

}  // namespace

const Json* PodView::volume(const std::string& wanted) const {
  for (const auto& v : volumes)
    if (string_at(v, {"name"}) == wanted) return &v;
  return nullptr;
}

Result<PodView> PodView::decode(const Json& pod) {
  PodView out;
  out.ns = string_at(pod, {"metadata", "namespace"});
  out.name = string_at(pod, {"metadata", "name"});
  out.uid = string_at(pod, {"metadata", "uid"});
  out.resource_version = string_at(pod, {"metadata", "resourceVersion"});
  // These become names of files and folders.
  for (const auto& part : {out.ns, out.name, out.uid})
    if (part.empty() || part.size() > 253 || part[0] == '.' || part.find('/') != std::string::npos || part.find('\0') != std::string::npos)
      return Error(Code::InvalidArgument, "pod with the unusable name or uid \"" + part + "\"");
  out.labels = string_map(find(pod, {"metadata", "labels"}));
  out.annotations = string_map(find(pod, {"metadata", "annotations"}));
  out.deletion_timestamp = string_at(pod, {"metadata", "deletionTimestamp"});
  out.deletion_grace = optional_int(find(pod, {"metadata", "deletionGracePeriodSeconds"}));
  const Json empty = Json::object();
  const Json* spec_at = find(pod, {"spec"});
  const Json& spec = spec_at && spec_at->is_object() ? *spec_at : empty;
  out.node = string_at(spec, {"nodeName"});
  out.service_account = string_at(spec, {"serviceAccountName"});
  out.hostname = string_at(spec, {"hostname"});
  out.subdomain = string_at(spec, {"subdomain"});
  out.dns_policy = string_at(spec, {"dnsPolicy"}, "ClusterFirst");
  out.restart_policy = string_at(spec, {"restartPolicy"}, "Always");
  if (const Json* v = find(spec, {"dnsConfig"}); v && v->is_object()) out.dns_config = *v;
  if (const Json* v = find(spec, {"hostAliases"}); v && v->is_array()) out.host_aliases = *v;
  out.host_network = bool_at(spec, {"hostNetwork"});
  out.host_pid = bool_at(spec, {"hostPID"});
  out.host_ipc = bool_at(spec, {"hostIPC"});
  if (const Json* v = find(spec, {"containers"}); v && v->is_array())
    for (const auto& c : *v) out.containers.push_back(container_view(c));
  if (const Json* v = find(spec, {"initContainers"}); v && v->is_array()) out.init_containers = v->size();
  if (const Json* v = find(spec, {"volumes"}); v && v->is_array()) out.volumes = *v;
  if (const Json* v = find(spec, {"readinessGates"}); v && v->is_array())
    for (const auto& g : *v) out.readiness_gates.push_back(string_at(g, {"conditionType"}));
  if (const Json* v = find(spec, {"imagePullSecrets"}); v && v->is_array())
    for (const auto& s : *v) out.image_pull_secrets.push_back(string_at(s, {"name"}));
  out.run_as_user = optional_int(find(spec, {"securityContext", "runAsUser"}));
  out.run_as_group = optional_int(find(spec, {"securityContext", "runAsGroup"}));
  out.fs_group = optional_int(find(spec, {"securityContext", "fsGroup"}));
  if (const Json* v = find(spec, {"securityContext", "supplementalGroups"}); v && v->is_array())
    for (const auto& g : *v)
      if (g.is_number_integer() && out.supplemental_groups.size() < 64) out.supplemental_groups.push_back(g.get<std::int64_t>());
  out.grace_seconds = std::max<std::int64_t>(0, int_at(spec, {"terminationGracePeriodSeconds"}, 30));
  out.phase = string_at(pod, {"status", "phase"});
  out.start_time = string_at(pod, {"status", "startTime"});
  if (const Json* v = find(pod, {"status", "conditions"}); v && v->is_array()) out.conditions = *v;
  return out;
}

std::map<std::string, api::Quantity> pod_requests(const PodView& pod) {
  std::map<std::string, api::Quantity> out;
  for (const auto& c : pod.containers) {
    auto requests = c.requests;
    for (const auto& [name, q] : c.limits) requests.emplace(name, q);
    for (const auto& [name, q] : requests) out[name] += q;
  }
  return out;
}

std::string qos_class(const PodView& pod) {
  bool any = false, guaranteed = !pod.containers.empty();
  for (const auto& c : pod.containers) {
    for (const auto* name : {"cpu", "memory"}) {
      const auto limit = c.limits.find(name);
      const auto request = c.requests.find(name);
      const bool has_limit = limit != c.limits.end() && !limit->second.zero();
      const bool has_request = request != c.requests.end() && !request->second.zero();
      any = any || has_limit || has_request;
      if (!has_limit || (has_request && !(request->second == limit->second))) guaranteed = false;
    }
  }
  return !any ? "BestEffort" : guaranteed ? "Guaranteed" : "Burstable";
}

}  // namespace nodevirt::podrunner
