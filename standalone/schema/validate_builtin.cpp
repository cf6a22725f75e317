#include <set>

#include <fmt/format.h>

#include "api/quantity.hpp"
#include "standalone/schema/builtin.hpp"
#include "standalone/schema/names.hpp"
#include "standalone/schema/node.hpp"

namespace nodevirt::schema {

namespace {

using Errors = std::vector<FieldError>;

void required(Errors& e, std::string path, std::string_view why = "") {
  e.push_back({std::move(path), "FieldValueRequired", why.empty() ? "Required value" : "Required value: " + std::string(why)});
}
void invalid(Errors& e, std::string path, const Json& value, std::string_view why) {
  e.push_back({std::move(path), "FieldValueInvalid", "Invalid value: " + quoted(value) + ": " + std::string(why)});
}
void duplicate(Errors& e, std::string path, const Json& value) {
  e.push_back({std::move(path), "FieldValueDuplicate", "Duplicate value: " + quoted(value)});
}
void forbidden(Errors& e, std::string path, std::string_view why) {
  e.push_back({std::move(path), "FieldValueForbidden", "Forbidden: " + std::string(why)});
}
void not_found(Errors& e, std::string path, const Json& value) {
  e.push_back({std::move(path), "FieldValueNotFound", "Not found: " + quoted(value)});
}

const Json& list_of(const Json& o, std::initializer_list<std::string_view> path) {
  static const Json empty = Json::array();
  const Json* v = find(o, path);
  return v && v->is_array() ? *v : empty;
}

void immutable(Errors& e, const Json& now, const Json& old, std::initializer_list<std::string_view> path, std::string where) {
  const Json* a = find(now, path);
  const Json* b = find(old, path);
  const Json x = a ? *a : Json(), y = b ? *b : Json();
  if (x != y) invalid(e, std::move(where), x, "field is immutable");
}

void check_port(Errors& e, const std::string& path, const Json* port, bool zero = false) {
  if (!port || !port->is_number_integer()) return;
  const auto n = port->get<std::int64_t>();
  if (n < (zero ? 0 : 1) || n > 65535) invalid(e, path, *port, "must be between 1 and 65535, inclusive");
}

// --- pods

void check_resources(Errors& e, const std::string& path, const Json& container) {
  const Json* requests = find(container, {"resources", "requests"});
  const Json* limits = find(container, {"resources", "limits"});
  for (auto [name, map] : {std::pair{"requests", requests}, {"limits", limits}})
    if (map && map->is_object())
      for (auto& [k, v] : map->items()) {
        const std::string at = fmt::format("{}.resources.{}[{}]", path, name, k);
        auto q = api::Quantity::parse(v.is_string() ? v.get<std::string>() : dump_json(v));
        if (q && q->negative()) invalid(e, at, v, "must be greater than or equal to 0");
        const Json* limit = name == std::string_view("requests") && limits ? find(*limits, {k}) : nullptr;
        auto most = limit ? api::Quantity::parse(limit->is_string() ? limit->get<std::string>() : dump_json(*limit)) : q;
        if (q && most && *q > *most) invalid(e, at, v, fmt::format("must be less than or equal to {} limit of {}", k, most->to_string(true)));
      }
}

void check_container(Errors& e, const std::string& path, const Json& c, const std::set<std::string>& volumes, std::set<std::string>& names) {
  const std::string name = string_at(c, {"name"});
  if (!name.empty()) {
    if (auto why = check_dns_label(name); !why.empty()) invalid(e, path + ".name", name, why);
    else if (!names.insert(name).second) duplicate(e, path + ".name", name);
  }
  const std::string image = string_at(c, {"image"});
  if (image.empty()) required(e, path + ".image");
  else if (image.find_first_of(" \t\n") == 0 || std::isspace(static_cast<unsigned char>(image.back())))
    invalid(e, path + ".image", image, "must not have leading or trailing whitespace");
  std::set<std::string> mounted;
  const Json& mounts = list_of(c, {"volumeMounts"});
  for (std::size_t i = 0; i < mounts.size(); ++i) {
    const std::string at = fmt::format("{}.volumeMounts[{}]", path, i), where = string_at(mounts[i], {"mountPath"});
    if (auto v = string_at(mounts[i], {"name"}); !v.empty() && !volumes.count(v)) not_found(e, at + ".name", v);
    if (!where.empty() && !mounted.insert(where).second) invalid(e, at + ".mountPath", where, "must be unique");
  }
  const Json& devices = list_of(c, {"volumeDevices"});
  for (std::size_t i = 0; i < devices.size(); ++i)
    if (auto v = string_at(devices[i], {"name"}); !volumes.count(v)) not_found(e, fmt::format("{}.volumeDevices[{}].name", path, i), v);
  const Json& ports = list_of(c, {"ports"});
  for (std::size_t i = 0; i < ports.size(); ++i) {
    check_port(e, fmt::format("{}.ports[{}].containerPort", path, i), find(ports[i], {"containerPort"}));
    check_port(e, fmt::format("{}.ports[{}].hostPort", path, i), find(ports[i], {"hostPort"}), true);
  }
  check_resources(e, path, c);
}

void check_pod_spec(Errors& e, const std::string& path, const Json& spec) {
  std::set<std::string> volumes, names;
  const Json& all = list_of(spec, {"volumes"});
  for (std::size_t i = 0; i < all.size(); ++i) {
    const std::string name = string_at(all[i], {"name"}), at = fmt::format("{}.volumes[{}]", path, i);
    if (auto why = check_dns_label(name); !name.empty() && !why.empty()) invalid(e, at + ".name", name, why);
    else if (!name.empty() && !volumes.insert(name).second) duplicate(e, at + ".name", name);
    if (all[i].is_object() && all[i].size() > 2) forbidden(e, at, "may not specify more than 1 volume type");
  }
  const Json& containers = list_of(spec, {"containers"});
  if (containers.empty() && find(spec, {"containers"})) required(e, path + ".containers");
  for (const char* list : {"initContainers", "containers"}) {
    const Json& cs = list_of(spec, {list});
    for (std::size_t i = 0; i < cs.size(); ++i) check_container(e, fmt::format("{}.{}[{}]", path, list, i), cs[i], volumes, names);
  }
  if (int_at(spec, {"terminationGracePeriodSeconds"}) < 0)
    invalid(e, path + ".terminationGracePeriodSeconds", int_at(spec, {"terminationGracePeriodSeconds"}), "must be greater than or equal to 0");
  if (const Json* selector = find(spec, {"nodeSelector"}); selector && selector->is_object())
    for (auto& [k, v] : selector->items()) {
      if (auto why = check_qualified_name(k); !why.empty()) invalid(e, path + ".nodeSelector", k, why);
      if (v.is_string())
        if (auto why = check_label_value(v.get<std::string>()); !why.empty()) invalid(e, path + ".nodeSelector", v, why);
    }
}

/// A pod's specification without what an update may change.
Json fixed_part(const Json& pod) {
  Json spec = pod.value("spec", Json::object());
  if (!spec.is_object()) return spec;
  for (const char* list : {"containers", "initContainers"})
    if (auto it = spec.find(list); it != spec.end() && it->is_array())
      for (Json& c : *it)
        if (c.is_object()) c.erase("image");
  for (const char* name : {"activeDeadlineSeconds", "terminationGracePeriodSeconds", "tolerations", "schedulingGates", "ephemeralContainers", "nodeName"})
    spec.erase(name);
  return spec;
}

void check_pod(Errors& e, const Json& pod, const Json* old) {
  const Json* spec = find(pod, {"spec"});
  if (!spec || !spec->is_object()) return required(e, "spec");
  if (!old) return check_pod_spec(e, "spec", *spec);
  if (fixed_part(pod) != fixed_part(*old))
    forbidden(e, "spec", "pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,"
                         "`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),"
                         "`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)");
  const std::string node = string_at(*old, {"spec", "nodeName"});
  if (!node.empty() && node != string_at(pod, {"spec", "nodeName"})) forbidden(e, "spec.nodeName", "the pod is bound to a node already");
}

// --- services

void check_service(Errors& e, const Json& o, const Json* old) {
  const Json* spec = find(o, {"spec"});
  if (!spec || !spec->is_object()) return required(e, "spec");
  const std::string type = string_at(*spec, {"type"}), ip = string_at(*spec, {"clusterIP"});
  const Json& ports = list_of(*spec, {"ports"});
  if (ports.empty() && type != "ExternalName" && ip != "None") required(e, "spec.ports");
  if (type == "ExternalName" && string_at(*spec, {"externalName"}).empty()) required(e, "spec.externalName");
  if (ip == "None" && (type == "NodePort" || type == "LoadBalancer"))
    invalid(e, "spec.clusterIPs[0]", ip, "may not be set to 'None' for " + type + " services");
  if (!ip.empty() && ip != "None" && !matches_format(Format::Ip, ip))
    invalid(e, "spec.clusterIPs[0]", ip, "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)");
  std::set<std::string> names, pairs;
  for (std::size_t i = 0; i < ports.size(); ++i) {
    const std::string at = fmt::format("spec.ports[{}]", i), name = string_at(ports[i], {"name"});
    check_port(e, at + ".port", find(ports[i], {"port"}));
    check_port(e, at + ".targetPort", find(ports[i], {"targetPort"}));
    check_port(e, at + ".nodePort", find(ports[i], {"nodePort"}), true);
    if (name.empty() && ports.size() > 1) required(e, at + ".name");
    if (!name.empty()) {
      if (auto why = check_dns_label(name); !why.empty()) invalid(e, at + ".name", name, why);
      else if (!names.insert(name).second) duplicate(e, at + ".name", name);
    }
    if (!pairs.insert(fmt::format("{}/{}", int_at(ports[i], {"port"}), string_at(ports[i], {"protocol"}))).second) duplicate(e, at, ports[i]);
    if (type == "ClusterIP" && int_at(ports[i], {"nodePort"}) != 0) forbidden(e, at + ".nodePort", "may not be used when `type` is 'ClusterIP'");
  }
  if (!old) return;
  const std::string before = string_at(*old, {"spec", "clusterIP"});
  const bool leaves = type == "ExternalName" || string_at(*old, {"spec", "type"}) == "ExternalName";
  if (!before.empty() && before != ip && !leaves) invalid(e, "spec.clusterIPs[0]", ip, "may not change once set");
}

// --- storage

void check_claim(Errors& e, const Json& o, const Json* old) {
  const Json* spec = find(o, {"spec"});
  if (!spec || !spec->is_object()) return required(e, "spec");
  const Json& modes = list_of(*spec, {"accessModes"});
  static const std::set<std::string> known{"ReadWriteOnce", "ReadOnlyMany", "ReadWriteMany", "ReadWriteOncePod"};
  if (modes.empty()) required(e, "spec.accessModes", "at least 1 access mode is required");
  for (const Json& m : modes)
    if (!m.is_string() || !known.count(m.get<std::string>()))
      e.push_back({"spec.accessModes", "FieldValueNotSupported", "Unsupported value: " + quoted(m) +
                   ": supported values: \"ReadOnlyMany\", \"ReadWriteMany\", \"ReadWriteOnce\", \"ReadWriteOncePod\""});
  const Json* storage = find(*spec, {"resources", "requests", "storage"});
  if (!storage) {
    required(e, "spec.resources[storage]");
  } else {
    auto q = api::Quantity::parse(storage->is_string() ? storage->get<std::string>() : dump_json(*storage));
    if (q && (q->negative() || q->zero())) invalid(e, "spec.resources[storage]", *storage, "must be greater than zero");
    const Json* was = old ? find(*old, {"spec", "resources", "requests", "storage"}) : nullptr;
    auto before = was && was->is_string() ? api::Quantity::parse(was->get<std::string>()) : Result<api::Quantity>(Error(Code::NotFound, ""));
    if (q && before && *q < *before && string_at(*old, {"status", "phase"}) == "Bound")
      forbidden(e, "spec.resources.requests.storage", "field can not be less than status.capacity");
  }
  if (!old) return;
  immutable(e, o, *old, {"spec", "accessModes"}, "spec.accessModes");
  if (!string_at(*old, {"spec", "volumeName"}).empty()) immutable(e, o, *old, {"spec", "volumeName"}, "spec.volumeName");
  if (find(*old, {"spec", "storageClassName"})) immutable(e, o, *old, {"spec", "storageClassName"}, "spec.storageClassName");
}

void check_volume(Errors& e, const Json& o, const Json*) {
  const Json* spec = find(o, {"spec"});
  if (!spec || !spec->is_object()) return required(e, "spec");
  if (list_of(*spec, {"accessModes"}).empty()) required(e, "spec.accessModes");
  if (!find(*spec, {"capacity", "storage"})) required(e, "spec.capacity");
  if (find(*spec, {"local"}) && !find(*spec, {"nodeAffinity"})) required(e, "spec.nodeAffinity", "Local volume requires node affinity");
}

// --- others

void check_data_keys(Errors& e, const Json& o, const Json* old) {
  for (const char* field : {"data", "binaryData"})
    if (const Json* data = find(o, {field}); data && data->is_object())
      for (auto& [k, v] : data->items()) {
        const bool good = !k.empty() && k.size() <= 253 && k != "." && !k.starts_with("..") &&
                          k.find_first_not_of("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.") == std::string::npos;
        if (!good)
          invalid(e, fmt::format("{}[{}]", field, k.substr(0, 256)), k,
                  "a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  or 'KEY_NAME',  or 'key-name', "
                  "regex used for validation is '[-._a-zA-Z0-9]+')");
      }
  if (old && bool_at(*old, {"immutable"}))
    for (const char* field : {"data", "binaryData", "immutable"}) {
      const Json* a = find(o, {field});
      const Json* b = find(*old, {field});
      if ((a ? *a : Json()) != (b ? *b : Json())) forbidden(e, field, "field is immutable when `immutable` is set");
    }
}

void check_secret(Errors& e, const Json& o, const Json* old) {
  check_data_keys(e, o, old);
  if (old) immutable(e, o, *old, {"type"}, "type");
  const std::string type = string_at(o, {"type"});
  auto needs = [&](std::initializer_list<const char*> keys) {
    for (const char* k : keys)
      if (!find(o, {"data", k})) required(e, fmt::format("data[{}]", k));
  };
  if (type == "kubernetes.io/tls") needs({"tls.crt", "tls.key"});
  else if (type == "kubernetes.io/dockerconfigjson") needs({".dockerconfigjson"});
  else if (type == "kubernetes.io/ssh-auth") needs({"ssh-privatekey"});
  else if (type == "kubernetes.io/service-account-token" && string_at(o, {"metadata", "annotations", "kubernetes.io/service-account.name"}).empty())
    required(e, "metadata.annotations[kubernetes.io/service-account.name]");
}

void check_rules(Errors& e, const Json& o, const Json*) {
  const Json& rules = list_of(o, {"rules"});
  for (std::size_t i = 0; i < rules.size(); ++i) {
    const std::string at = fmt::format("rules[{}]", i);
    if (list_of(rules[i], {"verbs"}).empty()) required(e, at + ".verbs", "verbs must contain at least one value");
    if (!list_of(rules[i], {"nonResourceURLs"}).empty()) continue;
    if (list_of(rules[i], {"apiGroups"}).empty()) required(e, at + ".apiGroups", "resource rules must supply at least one api group");
    if (list_of(rules[i], {"resources"}).empty()) required(e, at + ".resources", "resource rules must supply at least one resource");
  }
}

void check_binding_of_role(Errors& e, const Json& o, const Json* old) {
  const std::string kind = string_at(o, {"roleRef", "kind"});
  const bool cluster = string_at(o, {"kind"}) == "ClusterRoleBinding";
  if (!kind.empty() && kind != "ClusterRole" && (cluster || kind != "Role"))
    e.push_back({"roleRef.kind", "FieldValueNotSupported", "Unsupported value: " + quoted(Json(kind)) + ": supported values: \"ClusterRole\"" +
                 (cluster ? "" : ", \"Role\"")});
  const Json& subjects = list_of(o, {"subjects"});
  for (std::size_t i = 0; i < subjects.size(); ++i) {
    const std::string at = fmt::format("subjects[{}]", i), k = string_at(subjects[i], {"kind"});
    if (k == "ServiceAccount" && string_at(subjects[i], {"namespace"}).empty()) required(e, at + ".namespace");
    if (!k.empty() && k != "ServiceAccount" && k != "User" && k != "Group")
      e.push_back({at + ".kind", "FieldValueNotSupported", "Unsupported value: " + quoted(Json(k)) + ": supported values: \"Group\", \"ServiceAccount\", \"User\""});
  }
  if (old) {
    const Json* a = find(o, {"roleRef"});
    const Json* b = find(*old, {"roleRef"});
    if (a && b && *a != *b) invalid(e, "roleRef", *a, "cannot change roleRef");
  }
}

void check_budget(Errors& e, const Json& o, const Json*) {
  if (find(o, {"spec", "minAvailable"}) && find(o, {"spec", "maxUnavailable"}))
    invalid(e, "spec", *find(o, {"spec"}), "minAvailable and maxUnavailable cannot be both set");
}

void check_class(Errors& e, const Json& o, const Json* old) {
  if (!old) return;
  for (const char* field : {"provisioner", "parameters", "reclaimPolicy", "volumeBindingMode"}) {
    const Json* a = find(o, {field});
    const Json* b = find(*old, {field});
    if ((a ? *a : Json()) != (b ? *b : Json())) forbidden(e, field, "updates to " + std::string(field) + " are forbidden.");
  }
}

void check_priority(Errors& e, const Json& o, const Json* old) {
  const std::string name = string_at(o, {"metadata", "name"});
  if (name.starts_with("system-") && name != "system-cluster-critical" && name != "system-node-critical")
    forbidden(e, "metadata.name", "priority class names with 'system-' prefix are reserved for system use only");
  if (old && int_at(o, {"value"}) != int_at(*old, {"value"})) forbidden(e, "value", "may not be changed in an update.");
}

void check_revision(Errors& e, const Json& o, const Json* old) {
  if (old) immutable(e, o, *old, {"data"}, "data");
}

void check_slice(Errors& e, const Json& o, const Json* old) {
  if (old) immutable(e, o, *old, {"addressType"}, "addressType");
  const std::string type = string_at(o, {"addressType"});
  const Json& endpoints = list_of(o, {"endpoints"});
  for (std::size_t i = 0; i < endpoints.size(); ++i)
    for (const Json& a : list_of(endpoints[i], {"addresses"}))
      if (a.is_string() && type != "FQDN" && !matches_format(type == "IPv6" ? Format::Ipv6 : Format::Ipv4, a.get<std::string>()))
        invalid(e, fmt::format("endpoints[{}].addresses", i), a, "must be an " + type + " address");
}

using Check = void (*)(Errors&, const Json&, const Json*);

Check check_of(std::string_view group, std::string_view kind) {
  struct Row { std::string_view group, kind; Check check; };
  static constexpr Row rows[] = {
      {"", "Pod", check_pod}, {"", "Service", check_service}, {"", "PersistentVolumeClaim", check_claim},
      {"", "PersistentVolume", check_volume}, {"", "ConfigMap", check_data_keys}, {"", "Secret", check_secret},
      {"rbac.authorization.k8s.io", "Role", check_rules}, {"rbac.authorization.k8s.io", "ClusterRole", check_rules},
      {"rbac.authorization.k8s.io", "RoleBinding", check_binding_of_role},
      {"rbac.authorization.k8s.io", "ClusterRoleBinding", check_binding_of_role},
      {"policy", "PodDisruptionBudget", check_budget}, {"storage.k8s.io", "StorageClass", check_class},
      {"scheduling.k8s.io", "PriorityClass", check_priority}, {"apps", "ControllerRevision", check_revision},
      {"discovery.k8s.io", "EndpointSlice", check_slice}};
  for (const Row& r : rows)
    if (r.group == group && r.kind == kind) return r.check;
  return nullptr;
}

}  // namespace

std::vector<FieldError> validate_builtin(std::string_view group, std::string_view, std::string_view kind, const Json& object, const Json* old) {
  std::vector<FieldError> errors;
  if (Check check = check_of(group, kind)) check(errors, object, old);
  return errors;
}

}  // namespace nodevirt::schema
