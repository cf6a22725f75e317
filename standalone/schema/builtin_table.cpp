#include <map>

#include <fmt/format.h>

#include "standalone/schema/cells.hpp"

namespace nodevirt::schema {

namespace {

using Cell = Json (*)(const Json& object, Clock::WallTime now);

struct ColumnSpec {
  const char* name;
  const char* type;
  int priority;
  Cell cell;
};

Json name_cell(const Json& o, Clock::WallTime) { return string_at(o, {"metadata", "name"}); }
Json age_cell(const Json& o, Clock::WallTime now) { return age_text(at(o, {"metadata", "creationTimestamp"}), now); }
Json created_cell(const Json& o, Clock::WallTime) { return string_at(o, {"metadata", "creationTimestamp"}, "<unknown>"); }
Json none_cell(const Json&, Clock::WallTime) { return nullptr; }

std::string scalar_text(const Json* v) {
  if (!v || v->is_null()) return "";
  return v->is_string() ? v->get<std::string>() : dump_json(*v);
}

std::string join_strings(const Json& list, const char* separator = ",") {
  std::string out;
  for (const Json& v : list) {
    if (!out.empty()) out += separator;
    out += scalar_text(&v);
  }
  return out;
}

std::string access_modes(const Json& modes) {
  std::vector<std::string> out;
  for (auto [name, letter] : {std::pair{"ReadWriteOnce", "RWO"}, {"ReadOnlyMany", "ROX"}, {"ReadWriteMany", "RWX"}, {"ReadWriteOncePod", "RWOP"}})
    for (const Json& m : modes)
      if (m == name) {
        out.push_back(letter);
        break;
      }
  return fmt::format("{}", fmt::join(out, ","));
}

// --- nodes

Json node_status(const Json& o, Clock::WallTime) {
  std::string out = "Unknown";
  for (const Json& c : list_at(o, {"status", "conditions"}))
    if (string_at(c, {"type"}) == "Ready") out = string_at(c, {"status"}) == "True" ? "Ready" : "NotReady";
  if (bool_at(o, {"spec", "unschedulable"})) out += ",SchedulingDisabled";
  return out;
}

Json node_roles(const Json& o, Clock::WallTime) {
  constexpr std::string_view kPrefix = "node-role.kubernetes.io/";
  std::string out;
  if (const Json* labels = find(o, {"metadata", "labels"}); labels && labels->is_object())
    for (auto& [k, v] : labels->items()) {
      std::string role;
      if (k.starts_with(kPrefix)) role = k.substr(kPrefix.size());
      else if (k == "kubernetes.io/role" && v.is_string()) role = v.get<std::string>();
      if (!role.empty()) out += (out.empty() ? "" : ",") + role;
    }
  return or_none(out);
}

std::string node_address(const Json& o, std::string_view type) {
  for (const Json& a : list_at(o, {"status", "addresses"}))
    if (string_at(a, {"type"}) == type) return string_at(a, {"address"});
  return "<none>";
}

Json node_info(const Json& o, const char* field) {
  auto text = string_at(o, {"status", "nodeInfo", field});
  return text.empty() ? "<unknown>" : text;
}

// --- services

std::string service_external(const Json& o) {
  const std::string type = string_at(o, {"spec", "type"});
  std::string ips = join_strings(list_at(o, {"spec", "externalIPs"}));
  if (type == "ExternalName") return string_at(o, {"spec", "externalName"});
  if (type == "LoadBalancer") {
    std::string lb;
    for (const Json& i : list_at(o, {"status", "loadBalancer", "ingress"})) {
      auto name = string_at(i, {"ip"}, string_at(i, {"hostname"}));
      if (!name.empty()) lb += (lb.empty() ? "" : ",") + name;
    }
    if (!ips.empty()) lb += (lb.empty() ? "" : ",") + ips;
    return lb.empty() ? "<pending>" : lb;
  }
  return or_none(ips);
}

std::string service_ports(const Json& o) {
  std::string out;
  for (const Json& p : list_at(o, {"spec", "ports"})) {
    if (!out.empty()) out += ',';
    out += std::to_string(int_at(p, {"port"}));
    if (auto node = int_at(p, {"nodePort"})) out += fmt::format(":{}", node);
    out += "/" + string_at(p, {"protocol"}, "TCP");
  }
  return or_none(out);
}

std::string map_text(const Json* m) {
  std::string out;
  if (m && m->is_object())
    for (auto& [k, v] : m->items()) out += (out.empty() ? "" : ",") + k + "=" + scalar_text(&v);
  return or_none(out);
}

/// The first three and how many more there are.
std::string few(const std::vector<std::string>& all) {
  if (all.empty()) return "<none>";
  std::string out;
  for (std::size_t i = 0; i < all.size() && i < 3; ++i) out += (i ? "," : "") + all[i];
  if (all.size() > 3) out += fmt::format(" + {} more...", all.size() - 3);
  return out;
}

Json endpoints_cell(const Json& o, Clock::WallTime) {
  std::vector<std::string> all;
  for (const Json& s : list_at(o, {"subsets"})) {
    const Json& ports = list_at(s, {"ports"});
    for (const Json& a : list_at(s, {"addresses"})) {
      const std::string ip = string_at(a, {"ip"});
      if (ports.empty()) all.push_back(ip);
      for (const Json& p : ports) all.push_back(fmt::format(fmt::runtime(ip.find(':') == std::string::npos ? "{}:{}" : "[{}]:{}"), ip, int_at(p, {"port"})));
    }
  }
  return few(all);
}

Json slice_ports(const Json& o, Clock::WallTime) {
  std::vector<std::string> all;
  for (const Json& p : list_at(o, {"ports"})) {
    const Json* port = find(p, {"port"});
    all.push_back(port && !port->is_null() ? scalar_text(port) : "*");
  }
  return all.empty() ? Json("<unset>") : Json(few(all));
}

Json slice_endpoints(const Json& o, Clock::WallTime) {
  std::vector<std::string> all;
  for (const Json& e : list_at(o, {"endpoints"}))
    for (const Json& a : list_at(e, {"addresses"})) all.push_back(scalar_text(&a));
  return all.empty() ? Json("<unset>") : Json(few(all));
}

// --- storage

std::string storage_class(const Json& o) {
  return string_at(o, {"metadata", "annotations", "volume.beta.kubernetes.io/storage-class"}, string_at(o, {"spec", "storageClassName"}));
}

Json claim_cell(const Json& o, Clock::WallTime) {
  const Json* ref = find(o, {"spec", "claimRef"});
  if (!ref || !ref->is_object()) return "";
  return string_at(*ref, {"namespace"}) + "/" + string_at(*ref, {"name"});
}

Json pvc_status(const Json& o, Clock::WallTime) {
  return at(o, {"metadata", "deletionTimestamp"}).is_null() ? Json(string_at(o, {"status", "phase"})) : Json("Terminating");
}

Json pv_status(const Json& o, Clock::WallTime now) { return pvc_status(o, now); }

Json pvc_capacity(const Json& o, Clock::WallTime) {
  return string_at(o, {"spec", "volumeName"}).empty() ? "" : scalar_text(find(o, {"status", "capacity", "storage"}));
}

Json pvc_modes(const Json& o, Clock::WallTime) {
  return string_at(o, {"spec", "volumeName"}).empty() ? "" : access_modes(list_at(o, {"status", "accessModes"}));
}

std::string attributes_class(const Json& o) {
  auto text = string_at(o, {"spec", "volumeAttributesClassName"});
  return text.empty() ? "<unset>" : text;
}

Json class_name(const Json& o, Clock::WallTime) {
  std::string name = string_at(o, {"metadata", "name"});
  for (const char* a : {"storageclass.kubernetes.io/is-default-class", "storageclass.beta.kubernetes.io/is-default-class"})
    if (string_at(o, {"metadata", "annotations", a}) == "true") return name + " (default)";
  return name;
}

// --- events

std::string since(const Json& t, Clock::WallTime now) { return t.is_null() ? "<unknown>" : age_text(t, now); }

Json event_first(const Json& o, Clock::WallTime now) {
  Json t = at(o, {"firstTimestamp"});
  if (t.is_null()) t = at(o, {"deprecatedFirstTimestamp"});
  return since(t.is_null() ? at(o, {"eventTime"}) : t, now);
}

Json event_last(const Json& o, Clock::WallTime now) {
  if (Json t = at(o, {"series", "lastObservedTime"}); !t.is_null()) return since(t, now);
  Json t = at(o, {"lastTimestamp"});
  if (t.is_null()) t = at(o, {"deprecatedLastTimestamp"});
  return t.is_null() ? event_first(o, now) : Json(since(t, now));
}

const Json& event_object(const Json& o) {
  static const Json none = Json::object();
  if (const Json* r = find(o, {"involvedObject"})) return *r;
  const Json* r = find(o, {"regarding"});
  return r ? *r : none;
}

Json event_object_cell(const Json& o, Clock::WallTime) {
  const Json& r = event_object(o);
  std::string kind = string_at(r, {"kind"});
  for (char& c : kind) c = char(std::tolower(static_cast<unsigned char>(c)));
  return kind + "/" + string_at(r, {"name"});
}

Json event_source(const Json& o, Clock::WallTime) {
  std::string component = string_at(o, {"source", "component"}, string_at(o, {"deprecatedSource", "component"}));
  std::string host = string_at(o, {"source", "host"}, string_at(o, {"deprecatedSource", "host"}));
  if (component.empty()) {
    component = string_at(o, {"reportingComponent"}, string_at(o, {"reportingController"}));
    host = string_at(o, {"reportingInstance"});
  }
  return host.empty() ? component : component + ", " + host;
}

Json event_count(const Json& o, Clock::WallTime) {
  if (auto n = int_at(o, {"series", "count"})) return n;
  return std::max<std::int64_t>(1, int_at(o, {"count"}, int_at(o, {"deprecatedCount"})));
}

Json event_message(const Json& o, Clock::WallTime) {
  std::string text = string_at(o, {"message"}, string_at(o, {"note"}));
  while (!text.empty() && std::isspace(static_cast<unsigned char>(text.back()))) text.pop_back();
  return text;
}

// --- others

Json binding_role(const Json& o, Clock::WallTime) {
  return string_at(o, {"roleRef", "kind"}) + "/" + string_at(o, {"roleRef", "name"});
}

std::string subjects(const Json& o, std::string_view kind) {
  std::string out;
  for (const Json& s : list_at(o, {"subjects"})) {
    if (string_at(s, {"kind"}) != kind) continue;
    if (!out.empty()) out += ", ";
    if (kind == "ServiceAccount") out += string_at(s, {"namespace"}) + "/";
    out += string_at(s, {"name"});
  }
  return out;
}

Json quota_part(const Json& o, bool limits) {
  std::string out;
  if (const Json* hard = find(o, {"status", "hard"}); hard && hard->is_object())
    for (auto& [k, v] : hard->items()) {
      if (k.starts_with("limits") != limits) continue;
      const Json* used = find(o, {"status", "used", k});
      if (!out.empty()) out += ", ";
      out += fmt::format("{}: {}/{}", k, used ? scalar_text(used) : "0", scalar_text(&v));
    }
  return out;
}

Json revision_owner(const Json& o, Clock::WallTime) {
  for (const Json& r : list_at(o, {"metadata", "ownerReferences"})) {
    if (!bool_at(r, {"controller"})) continue;
    std::string kind = string_at(r, {"kind"}), api = string_at(r, {"apiVersion"});
    for (char& c : kind) c = char(std::tolower(static_cast<unsigned char>(c)));
    const auto slash = api.find('/');
    if (slash != std::string::npos) kind += "." + api.substr(0, slash);
    return kind + "/" + string_at(r, {"name"});
  }
  return "<none>";
}

Json service_reference(const Json& o, Clock::WallTime) {
  const Json* s = find(o, {"spec", "service"});
  if (!s || !s->is_object()) return "Local";
  return string_at(*s, {"namespace"}) + "/" + string_at(*s, {"name"});
}

Json available(const Json& o, Clock::WallTime) {
  for (const Json& c : list_at(o, {"status", "conditions"})) {
    if (string_at(c, {"type"}) != "Available") continue;
    const auto status = string_at(c, {"status"}), reason = string_at(c, {"reason"});
    return status == "True" || reason.empty() ? status : status + " (" + reason + ")";
  }
  return "Unknown";
}

Json limit_or_na(const Json& o, const char* field) {
  auto text = scalar_text(find(o, {"spec", field}));
  return text.empty() ? "N/A" : text;
}

#define CELL(expression) [](const Json& o, Clock::WallTime) -> Json { return expression; }

const ColumnSpec kName{"Name", "string", 0, name_cell};
const ColumnSpec kAge{"Age", "string", 0, age_cell};
const ColumnSpec kCreated{"Created At", "date", 0, created_cell};

const std::map<std::string, std::vector<ColumnSpec>, std::less<>>& tables() {
  static const std::vector<ColumnSpec> event{
      {"Last Seen", "string", 0, event_last},
      {"Type", "string", 0, CELL(string_at(o, {"type"}))},
      {"Reason", "string", 0, CELL(string_at(o, {"reason"}))},
      {"Object", "string", 0, event_object_cell},
      {"Subobject", "string", 1, CELL(string_at(event_object(o), {"fieldPath"}))},
      {"Source", "string", 1, event_source},
      {"Message", "string", 0, event_message},
      {"First Seen", "string", 1, event_first},
      {"Count", "string", 1, event_count},
      {"Name", "string", 1, name_cell}};
  static const std::vector<ColumnSpec> binding{
      kName, {"Role", "string", 0, binding_role}, kAge,
      {"Users", "string", 1, CELL(subjects(o, "User"))},
      {"Groups", "string", 1, CELL(subjects(o, "Group"))},
      {"ServiceAccounts", "string", 1, CELL(subjects(o, "ServiceAccount"))}};
  static const std::vector<ColumnSpec> webhooks{
      kName, {"Webhooks", "integer", 0, CELL(list_at(o, {"webhooks"}).size())}, kAge};
  static const std::map<std::string, std::vector<ColumnSpec>, std::less<>> all{
      {"/Pod", {kName, {"Ready", "string", 0, none_cell}, {"Status", "string", 0, none_cell}, {"Restarts", "string", 0, none_cell}, kAge,
                {"IP", "string", 1, none_cell}, {"Node", "string", 1, none_cell}, {"Nominated Node", "string", 1, none_cell},
                {"Readiness Gates", "string", 1, none_cell}}},
      {"/Node", {kName, {"Status", "string", 0, node_status}, {"Roles", "string", 0, node_roles}, kAge,
                 {"Version", "string", 0, CELL(string_at(o, {"status", "nodeInfo", "kubeletVersion"}))},
                 {"Internal-IP", "string", 1, CELL(node_address(o, "InternalIP"))},
                 {"External-IP", "string", 1, CELL(node_address(o, "ExternalIP"))},
                 {"OS-Image", "string", 1, CELL(node_info(o, "osImage"))},
                 {"Kernel-Version", "string", 1, CELL(node_info(o, "kernelVersion"))},
                 {"Container-Runtime", "string", 1, CELL(node_info(o, "containerRuntimeVersion"))}}},
      {"/Service", {kName, {"Type", "string", 0, CELL(string_at(o, {"spec", "type"}))},
                    {"Cluster-IP", "string", 0, CELL(or_none(string_at(o, {"spec", "clusterIP"})))},
                    {"External-IP", "string", 0, CELL(service_external(o))}, {"Port(s)", "string", 0, CELL(service_ports(o))}, kAge,
                    {"Selector", "string", 1, CELL(map_text(find(o, {"spec", "selector"})))}}},
      {"/Endpoints", {kName, {"Endpoints", "string", 0, endpoints_cell}, kAge}},
      {"discovery.k8s.io/EndpointSlice", {kName, {"AddressType", "string", 0, CELL(string_at(o, {"addressType"}))},
                                          {"Ports", "string", 0, slice_ports}, {"Endpoints", "string", 0, slice_endpoints}, kAge}},
      {"/Namespace", {kName, {"Status", "string", 0, CELL(string_at(o, {"status", "phase"}))}, kAge}},
      {"/ConfigMap", {kName, {"Data", "string", 0, CELL(at(o, {"data"}).size() + at(o, {"binaryData"}).size())}, kAge}},
      {"/Secret", {kName, {"Type", "string", 0, CELL(string_at(o, {"type"}))}, {"Data", "string", 0, CELL(at(o, {"data"}).size())}, kAge}},
      {"/ServiceAccount", {kName, {"Secrets", "string", 0, CELL(list_at(o, {"secrets"}).size())}, kAge}},
      {"/PersistentVolume", {kName, {"Capacity", "string", 0, CELL(scalar_text(find(o, {"spec", "capacity", "storage"})))},
                             {"Access Modes", "string", 0, CELL(access_modes(list_at(o, {"spec", "accessModes"})))},
                             {"Reclaim Policy", "string", 0, CELL(string_at(o, {"spec", "persistentVolumeReclaimPolicy"}))},
                             {"Status", "string", 0, pv_status}, {"Claim", "string", 0, claim_cell},
                             {"StorageClass", "string", 0, CELL(storage_class(o))},
                             {"VolumeAttributesClass", "string", 0, CELL(attributes_class(o))},
                             {"Reason", "string", 0, CELL(string_at(o, {"status", "reason"}))}, kAge,
                             {"VolumeMode", "string", 1, CELL(string_at(o, {"spec", "volumeMode"}, "<unset>"))}}},
      {"/PersistentVolumeClaim", {kName, {"Status", "string", 0, pvc_status}, {"Volume", "string", 0, CELL(string_at(o, {"spec", "volumeName"}))},
                                  {"Capacity", "string", 0, pvc_capacity}, {"Access Modes", "string", 0, pvc_modes},
                                  {"StorageClass", "string", 0, CELL(storage_class(o))},
                                  {"VolumeAttributesClass", "string", 0, CELL(attributes_class(o))}, kAge,
                                  {"VolumeMode", "string", 1, CELL(string_at(o, {"spec", "volumeMode"}, "<unset>"))}}},
      {"storage.k8s.io/StorageClass", {{"Name", "string", 0, class_name}, {"Provisioner", "string", 0, CELL(string_at(o, {"provisioner"}))},
                                       {"ReclaimPolicy", "string", 0, CELL(string_at(o, {"reclaimPolicy"}, "Delete"))},
                                       {"VolumeBindingMode", "string", 0, CELL(string_at(o, {"volumeBindingMode"}, "<unset>"))},
                                       {"AllowVolumeExpansion", "string", 0, CELL(bool_at(o, {"allowVolumeExpansion"}))}, kAge}},
      {"/Event", event},
      {"events.k8s.io/Event", event},
      {"coordination.k8s.io/Lease", {kName, {"Holder", "string", 0, CELL(string_at(o, {"spec", "holderIdentity"}))}, kAge}},
      {"apps/ControllerRevision", {kName, {"Controller", "string", 0, revision_owner}, {"Revision", "string", 0, CELL(int_at(o, {"revision"}))}, kAge}},
      {"policy/PodDisruptionBudget", {kName, {"Min Available", "string", 0, CELL(limit_or_na(o, "minAvailable"))},
                                      {"Max Unavailable", "string", 0, CELL(limit_or_na(o, "maxUnavailable"))},
                                      {"Allowed Disruptions", "integer", 0, CELL(int_at(o, {"status", "disruptionsAllowed"}))}, kAge}},
      {"scheduling.k8s.io/PriorityClass", {kName, {"Value", "integer", 0, CELL(int_at(o, {"value"}))},
                                           {"Global-Default", "boolean", 0, CELL(bool_at(o, {"globalDefault"}))}, kAge,
                                           {"PreemptionPolicy", "string", 0, CELL(string_at(o, {"preemptionPolicy"}, "PreemptLowerPriority"))}}},
      {"/ResourceQuota", {kName, {"Request", "string", 0, CELL(quota_part(o, false))}, {"Limit", "string", 0, CELL(quota_part(o, true))}, kAge}},
      {"/LimitRange", {kName, kCreated}},
      {"rbac.authorization.k8s.io/Role", {kName, kCreated}},
      {"rbac.authorization.k8s.io/ClusterRole", {kName, kCreated}},
      {"rbac.authorization.k8s.io/RoleBinding", binding},
      {"rbac.authorization.k8s.io/ClusterRoleBinding", binding},
      {"apiextensions.k8s.io/CustomResourceDefinition", {kName, kCreated}},
      {"apiregistration.k8s.io/APIService", {kName, {"Service", "string", 0, service_reference}, {"Available", "string", 0, available}, kAge}},
      {"admissionregistration.k8s.io/ValidatingWebhookConfiguration", webhooks},
      {"admissionregistration.k8s.io/MutatingWebhookConfiguration", webhooks},
  };
  return all;
}

class BuiltinTable final : public TableFormat {
 public:
  BuiltinTable(const std::vector<ColumnSpec>& specs, bool pod) : specs_(specs), pod_(pod) {}

  Json columns() const override {
    Json out = Json::array();
    for (const auto& s : specs_) out.push_back(column(s.name, s.type, s.priority, s.name));
    return out;
  }

  Json cells(const Json& object, Clock::WallTime now) const override {
    if (pod_) return pod_cells(object, now);
    Json out = Json::array();
    for (const auto& s : specs_) out.push_back(s.cell(object, now));
    return out;
  }

 private:
  const std::vector<ColumnSpec>& specs_;
  bool pod_;
};

}  // namespace

std::shared_ptr<const TableFormat> TableFormat::builtin(std::string_view group, std::string_view kind) {
  static const std::vector<ColumnSpec> plain{kName, kAge};
  auto it = tables().find(std::string(group) + "/" + std::string(kind));
  const bool pod = group.empty() && kind == "Pod";
  return std::make_shared<BuiltinTable>(it == tables().end() ? plain : it->second, pod);
}

}  // namespace nodevirt::schema
