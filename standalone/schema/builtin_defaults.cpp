#include "standalone/schema/builtin.hpp"

namespace nodevirt::schema {

namespace {

void set_default(Json& object, const char* name, Json value) {
  auto it = object.find(name);
  if (it == object.end() || it->is_null() || (it->is_string() && it->get_ref<const std::string&>().empty())) object[name] = std::move(value);
}

Json* object_in(Json& parent, const char* name) {
  auto it = parent.find(name);
  return it != parent.end() && it->is_object() ? &*it : nullptr;
}

Json* list_in(Json& parent, const char* name) {
  auto it = parent.find(name);
  return it != parent.end() && it->is_array() ? &*it : nullptr;
}

/// IfNotPresent for a tag or digest that names one image, Always for :latest or none.
const char* pull_policy(const std::string& image) {
  const auto slash = image.rfind('/');
  const auto rest = image.substr(slash == std::string::npos ? 0 : slash + 1);
  if (rest.find('@') != std::string::npos) return "IfNotPresent";
  const auto colon = rest.rfind(':');
  return colon == std::string::npos || rest.substr(colon + 1) == "latest" ? "Always" : "IfNotPresent";
}

void default_container(Json& c) {
  if (!c.is_object()) return;
  set_default(c, "imagePullPolicy", pull_policy(string_at(c, {"image"})));
  if (Json* resources = object_in(c, "resources"))
    if (Json* limits = object_in(*resources, "limits")) {
      Json& requests = (*resources)["requests"];
      if (!requests.is_object()) requests = Json::object();
      for (auto& [name, amount] : limits->items())
        if (!requests.contains(name)) requests[name] = amount;
    }
}

void default_pod(Json& pod) {
  Json* spec = object_in(pod, "spec");
  if (!spec) return;
  for (const char* list : {"containers", "initContainers", "ephemeralContainers"})
    if (Json* all = list_in(*spec, list))
      for (Json& c : *all) default_container(c);
  // Two names of one field.
  const std::string account = string_at(*spec, {"serviceAccountName"}, string_at(*spec, {"serviceAccount"}));
  if (!account.empty()) {
    (*spec)["serviceAccountName"] = account;
    (*spec)["serviceAccount"] = account;
  }
  if (Json* volumes = list_in(*spec, "volumes"))
    for (Json& v : *volumes) {
      if (!v.is_object()) continue;
      // A volume that names no source is an empty folder.
      if (v.size() == 1 && v.contains("name")) v["emptyDir"] = Json::object();
    }
  if (bool_at(*spec, {"hostNetwork"}))
    if (Json* all = list_in(*spec, "containers"))
      for (Json& c : *all)
        if (Json* ports = c.is_object() ? list_in(c, "ports") : nullptr)
          for (Json& p : *ports)
            if (p.is_object() && !p.contains("hostPort") && p.contains("containerPort")) p["hostPort"] = p["containerPort"];
}

void default_service(Json& service) {
  Json* spec = object_in(service, "spec");
  if (!spec) return;
  if (Json* ports = list_in(*spec, "ports"))
    for (Json& p : *ports) {
      if (!p.is_object() || !p.contains("port")) continue;
      auto target = p.find("targetPort");
      const bool unset = target == p.end() || target->is_null() || (target->is_number() && target->get<double>() == 0) || *target == "";
      if (unset) p["targetPort"] = p["port"];
    }
  const std::string type = string_at(*spec, {"type"});
  if (string_at(*spec, {"sessionAffinity"}) == "ClientIP" && !spec->contains("sessionAffinityConfig"))
    (*spec)["sessionAffinityConfig"]["clientIP"]["timeoutSeconds"] = 10800;
  if (type == "NodePort" || type == "LoadBalancer") set_default(*spec, "externalTrafficPolicy", "Cluster");
  if (type == "LoadBalancer") set_default(*spec, "allocateLoadBalancerNodePorts", true);
  if (type == "ClusterIP" || type == "NodePort" || type == "LoadBalancer") set_default(*spec, "internalTrafficPolicy", "Cluster");
}

void default_subjects(Json& binding) {
  if (Json* subjects = list_in(binding, "subjects"))
    for (Json& s : *subjects) {
      if (!s.is_object()) continue;
      const std::string kind = string_at(s, {"kind"});
      if (kind == "User" || kind == "Group") set_default(s, "apiGroup", "rbac.authorization.k8s.io");
    }
}

void default_names(Json& crd) {
  Json* spec = object_in(crd, "spec");
  Json* names = spec ? object_in(*spec, "names") : nullptr;
  if (!names) return;
  const std::string kind = string_at(*names, {"kind"});
  std::string singular = kind;
  for (char& c : singular) c = char(std::tolower(static_cast<unsigned char>(c)));
  if (!singular.empty()) set_default(*names, "singular", singular);
  if (!kind.empty()) set_default(*names, "listKind", kind + "List");
}

/// Data that was given as text is stored as bytes.
void merge_string_data(Json& secret) {
  Json* text = object_in(secret, "stringData");
  if (!text) return;
  static constexpr std::string_view kAlphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  for (auto& [name, value] : text->items()) {
    if (!value.is_string()) continue;
    const auto& s = value.get_ref<const std::string&>();
    std::string out;
    for (std::size_t i = 0; i < s.size(); i += 3) {
      const std::size_t n = std::min<std::size_t>(3, s.size() - i);
      unsigned v = 0;
      for (std::size_t k = 0; k < 3; ++k) v = v << 8 | (k < n ? static_cast<unsigned char>(s[i + k]) : 0u);
      for (std::size_t k = 0; k < 4; ++k) out += k <= n ? kAlphabet[v >> (18 - 6 * k) & 63] : '=';
    }
    secret["data"][name] = out;
  }
  secret.erase("stringData");
}

}  // namespace

void apply_builtin_defaults(std::string_view group, std::string_view version, std::string_view kind, Json& object) {
  auto schema = builtin_schema(group, version, kind);
  if (!schema || !object.is_object()) return;
  schema->apply_defaults(object);
  if (group.empty() && kind == "Pod") default_pod(object);
  else if (group.empty() && kind == "PodTemplate" && object.contains("template")) default_pod(object["template"]);
  else if (group.empty() && kind == "Service") default_service(object);
  else if (group.empty() && kind == "Secret") merge_string_data(object);
  else if (kind == "RoleBinding" || kind == "ClusterRoleBinding") default_subjects(object);
  else if (kind == "CustomResourceDefinition") default_names(object);
}

}  // namespace nodevirt::schema
