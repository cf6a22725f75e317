#include "standalone/podrunner/environment.hpp"

#include "pkg/client/base64.hpp"

namespace nodevirt::podrunner {
namespace {

Error config_error(std::string message) {
  return Error(Code::InvalidArgument, "CreateContainerConfigError", std::move(message));
}

void add_reference(std::set<ObjectName>& out, const char* kind, const Json* at, std::string_view field) {
  if (!at) return;
  const std::string name = string_at(*at, {field});
  if (!name.empty()) out.insert({kind, name});
}

bool valid_name(std::string_view name) {
  if (name.empty() || (name[0] >= '0' && name[0] <= '9')) return false;
  for (const char c : name)
    if (c == '=' || c == '\0' || static_cast<unsigned char>(c) <= 0x20) return false;
  return true;
}

}  // namespace

std::set<ObjectName> referenced_objects(const PodView& pod) {
  std::set<ObjectName> out;
  for (const auto& c : pod.containers) {
    for (const auto& e : c.env) {
      add_reference(out, "Secret", find(e, {"valueFrom", "secretKeyRef"}), "name");
      add_reference(out, "ConfigMap", find(e, {"valueFrom", "configMapKeyRef"}), "name");
    }
    for (const auto& e : c.env_from) {
      add_reference(out, "Secret", find(e, {"secretRef"}), "name");
      add_reference(out, "ConfigMap", find(e, {"configMapRef"}), "name");
    }
  }
  for (const auto& v : pod.volumes) {
    add_reference(out, "Secret", find(v, {"secret"}), "secretName");
    add_reference(out, "ConfigMap", find(v, {"configMap"}), "name");
    if (const Json* sources = find(v, {"projected", "sources"}); sources && sources->is_array())
      for (const auto& s : *sources) {
        add_reference(out, "Secret", find(s, {"secret"}), "name");
        add_reference(out, "ConfigMap", find(s, {"configMap"}), "name");
      }
  }
  return out;
}

Result<std::map<std::string, std::string>> object_values(const Objects& objects, const ObjectName& object) {
  const auto it = objects.find(object);
  const std::string what = (object.kind == "Secret" ? "secret \"" : "configmap \"") + object.name + "\"";
  if (it == objects.end()) return Error(Code::NotFound, what + " not found");
  std::map<std::string, std::string> out;
  const bool secret = object.kind == "Secret";
  for (const auto* field : {"data", "binaryData"}) {
    const Json* data = find(it->second, {field});
    if (!data || !data->is_object()) continue;
    const bool encoded = secret || std::string_view(field) == "binaryData";
    for (const auto& [key, value] : data->items()) {
      if (!value.is_string()) continue;
      if (!encoded) {
        out[key] = value.get<std::string>();
        continue;
      }
      auto plain = client::decode_base64(value.get<std::string>());
      if (!plain.ok()) return Error(Code::InvalidArgument, what + ": key " + key + " is not base64");
      out[key] = std::move(*plain);
    }
  }
  return out;
}

Result<std::string> object_value(const Objects& objects, const ObjectName& object, const std::string& key) {
  NV_TRY(auto values, object_values(objects, object));
  const auto it = values.find(key);
  if (it == values.end())
    return Error(Code::NotFound, fmt::format("couldn't find key {} in {} {}", key, object.kind, object.name));
  return std::move(it->second);
}

Result<std::string> field_value(const PodView& pod, const Place& place, const std::string& path) {
  if (path == "metadata.name") return pod.name;
  if (path == "metadata.namespace") return pod.ns;
  if (path == "metadata.uid") return pod.uid;
  if (path == "spec.nodeName") return place.node;
  if (path == "spec.serviceAccountName") return pod.service_account;
  if (path == "status.podIP" || path == "status.podIPs") return place.pod_ip;
  if (path == "status.hostIP" || path == "status.hostIPs") return place.host_ip;
  for (const auto& [prefix, map] : {std::pair{std::string("metadata.labels"), &pod.labels}, {std::string("metadata.annotations"), &pod.annotations}}) {
    if (path == prefix) {
      std::string all;
      for (const auto& [k, v] : *map) all += k + "=" + Json(v).dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
      return all;
    }
    if (path.starts_with(prefix + "['") && path.ends_with("']")) {
      const auto key = path.substr(prefix.size() + 2, path.size() - prefix.size() - 4);
      const auto it = map->find(key);
      return it == map->end() ? std::string() : it->second;
    }
  }
  return config_error("fieldRef: the field " + path + " is not offered; metadata.name, namespace, uid, labels, annotations, spec.nodeName, "
                      "spec.serviceAccountName, status.podIP and status.hostIP are");
}

Result<std::string> resource_value(const ContainerView& container, const std::string& resource, const std::string& divisor) {
  const auto dot = resource.find('.');
  if (dot == std::string::npos) return config_error("resourceFieldRef: unknown resource " + resource);
  const auto which = resource.substr(0, dot), name = resource.substr(dot + 1);
  if (which != "limits" && which != "requests") return config_error("resourceFieldRef: unknown resource " + resource);
  api::Quantity value;
  const auto& from = which == "limits" ? container.limits : container.requests;
  if (const auto it = from.find(name); it != from.end()) value = it->second;
  auto by = api::Quantity::parse(divisor.empty() || divisor == "0" ? "1" : divisor);
  if (!by.ok() || by->zero()) return config_error("resourceFieldRef: the divisor " + divisor + " is not a positive quantity");
  const auto top = static_cast<__int128>(value.milli_value()), bottom = static_cast<__int128>(by->milli_value());
  return std::to_string(static_cast<std::int64_t>((top + bottom - 1) / bottom));
}

std::string expand(std::string_view text, const std::map<std::string, std::string>& env) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '$' || i + 1 == text.size()) {
      out += text[i];
    } else if (text[i + 1] == '$') {
      out += '$', ++i;
    } else if (const auto end = text.find(')', i); text[i + 1] == '(' && end != std::string_view::npos) {
      const auto it = env.find(std::string(text.substr(i + 2, end - i - 2)));
      if (it == env.end()) out += text.substr(i, end - i + 1);
      else out += it->second;
      i = end;
    } else {
      out += '$';
    }
  }
  return out;
}

bool needs_pod_ip(const ContainerView& container) {
  return std::any_of(container.env.begin(), container.env.end(), [](const Json& e) {
    return string_at(e, {"valueFrom", "fieldRef", "fieldPath"}).starts_with("status.podIP");
  });
}

Result<std::vector<std::string>> environment(const PodView& pod, const ContainerView& container, const Objects& objects,
                                             const Place& place) {
  std::vector<std::string> order;
  std::map<std::string, std::string> values;
  const auto set = [&](const std::string& name, std::string value) -> Result<void> {
    if (!valid_name(name) || value.find('\0') != std::string::npos)
      return config_error("env: the name or value of \"" + name + "\" cannot be in an environment");
    if (!values.contains(name)) order.push_back(name);
    values[name] = std::move(value);
    return {};
  };
  NV_TRY_VOID(set("PATH", "/opt/nodevirt/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"));
  NV_TRY_VOID(set("HOSTNAME", (pod.hostname.empty() ? pod.name : pod.hostname).substr(0, 63)));
  NV_TRY_VOID(set("LANG", "C.UTF-8"));

  for (const auto& from : container.env_from) {
    const bool secret = from.contains("secretRef");
    const Json* ref = find(from, {secret ? "secretRef" : "configMapRef"});
    if (!ref) continue;
    auto all = object_values(objects, {secret ? "Secret" : "ConfigMap", string_at(*ref, {"name"})});
    if (!all.ok()) {
      if (bool_at(*ref, {"optional"}) && all.error().code == Code::NotFound) continue;
      return config_error(all.error().message);
    }
    for (auto& [key, value] : *all) {
      const std::string name = string_at(from, {"prefix"}) + key;
      if (valid_name(name)) NV_TRY_VOID(set(name, std::move(value)));
    }
  }
  for (const auto& e : container.env) {
    const std::string name = string_at(e, {"name"});
    const Json* from = find(e, {"valueFrom"});
    if (!from || !from->is_object()) {
      NV_TRY_VOID(set(name, expand(string_at(e, {"value"}), values)));
      continue;
    }
    if (const Json* ref = find(*from, {"fieldRef"})) {
      NV_TRY(std::string value, field_value(pod, place, string_at(*ref, {"fieldPath"})));
      NV_TRY_VOID(set(name, std::move(value)));
    } else if (const Json* ref = find(*from, {"resourceFieldRef"})) {
      NV_TRY(std::string value, resource_value(container, string_at(*ref, {"resource"}), string_at(*ref, {"divisor"})));
      NV_TRY_VOID(set(name, std::move(value)));
    } else {
      const bool secret = from->contains("secretKeyRef");
      const Json* key_ref = find(*from, {secret ? "secretKeyRef" : "configMapKeyRef"});
      if (!key_ref) return config_error("env " + name + ": unknown kind of valueFrom");
      auto value = object_value(objects, {secret ? "Secret" : "ConfigMap", string_at(*key_ref, {"name"})}, string_at(*key_ref, {"key"}));
      if (!value.ok()) {
        if (bool_at(*key_ref, {"optional"}) && value.error().code == Code::NotFound) continue;
        return config_error(value.error().message);
      }
      NV_TRY_VOID(set(name, std::move(*value)));
    }
  }
  std::vector<std::string> out;
  for (const auto& name : order) out.push_back(name + "=" + values[name]);
  return out;
}

}  // namespace nodevirt::podrunner
