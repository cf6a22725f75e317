#include "standalone/apiserver/resources/builtin_strategies.hpp"

#include <fmt/format.h>

#include "standalone/apiserver/service_resolver.hpp"
#include "standalone/apiserver/store/store.hpp"
#include "standalone/apiserver/resources/registry.hpp"

namespace nodevirt::apiserver {

namespace {

class NamespaceStrategy final : public PlainStrategy {
 public:
  NamespaceStrategy() : PlainStrategy(false) {}
  Result<void> prepare_create(StrategyContext&, Json& o) const override {
    o["spec"]["finalizers"] = {"kubernetes"};
    o["status"] = {{"phase", "Active"}};
    label(o);
    return {};
  }
  Result<void> prepare_update(StrategyContext&, Json& o, const Json& old, const std::string& sub) const override {
    // Only /finalize changes the finalizers.
    if (sub != "finalize") {
      if (old.contains("spec")) o["spec"] = old["spec"]; else o.erase("spec");
    } else {
      Json spec = o.value("spec", Json::object());
      Json metadata = old["metadata"];
      o = old;
      o["spec"] = std::move(spec);
      o["metadata"] = std::move(metadata);
    }
    label(o);
    return {};
  }
  std::string check_name(std::string_view name) const override { return check_label(name); }

 private:
  static void label(Json& o) {
    if (auto name = string_at(o, {"metadata", "name"}); !name.empty()) o["metadata"]["labels"]["kubernetes.io/metadata.name"] = name;
  }
};

class SecretStrategy final : public PlainStrategy {
 public:
  SecretStrategy() : PlainStrategy(false) {}
  Result<void> prepare_create(StrategyContext&, Json& o) const override { merge(o); return {}; }
  Result<void> prepare_update(StrategyContext&, Json& o, const Json& old, const std::string&) const override {
    merge(o);
    if (!o.contains("type") && old.contains("type")) o["type"] = old["type"];
    return {};
  }
  std::vector<Cause> validate(StrategyContext&, const Json& o, const Json* old) const override {
    std::vector<Cause> out;
    if (const Json* data = find(o, {"data"}); data && data->is_object())
      for (const auto& [k, v] : data->items()) {
        std::string raw;
        if (v.is_string() && !base64_decode(v.get<std::string>(), raw))
          out.push_back({fmt::format("data[{}]", k), "FieldValueInvalid", "Invalid value: \"<secret contents redacted>\": must be base64"});
      }
    if (old && bool_at(*old, {"immutable"})) {
      if (!bool_at(o, {"immutable"}))
        out.push_back({"immutable", "FieldValueForbidden", "Forbidden: field is immutable when `immutable` is set"});
      if (o.value("data", Json()) != old->value("data", Json()))
        out.push_back({"data", "FieldValueForbidden", "Forbidden: field is immutable when `immutable` is set"});
    }
    if (old && string_at(o, {"type"}) != string_at(*old, {"type"}))
      out.push_back({"type", "FieldValueInvalid", fmt::format("Invalid value: \"{}\": field is immutable", string_at(o, {"type"}))});
    return out;
  }

 private:
  static void merge(Json& o) {
    auto it = o.find("stringData");
    if (it != o.end()) {
      if (it->is_object())
        for (const auto& [k, v] : it->items())
          if (v.is_string()) o["data"][k] = base64_encode(v.get<std::string>());
      o.erase("stringData");
    }
    if (string_at(o, {"type"}).empty()) o["type"] = "Opaque";
  }
};

class ConfigMapStrategy final : public PlainStrategy {
 public:
  ConfigMapStrategy() : PlainStrategy(false) {}
  std::vector<Cause> validate(StrategyContext&, const Json& o, const Json* old) const override {
    std::vector<Cause> out;
    if (!old || !bool_at(*old, {"immutable"})) return out;
    for (const char* key : {"data", "binaryData", "immutable"})
      if (o.value(key, Json()) != old->value(key, Json()))
        out.push_back({key, "FieldValueForbidden", "Forbidden: field is immutable when `immutable` is set"});
    return out;
  }
};

class ClaimStrategy final : public PlainStrategy {
 public:
  ClaimStrategy() : PlainStrategy(false) {}
  Result<void> prepare_create(StrategyContext& c, Json& o) const override {
    o["status"] = {{"phase", "Pending"}};
    auto& spec = o["spec"];
    if (!spec.is_object()) return {};
    if (!spec.contains("volumeMode")) spec["volumeMode"] = "Filesystem";
    if (spec.contains("storageClassName")) return {};
    const std::string id = "storageclasses.storage.k8s.io";
    c.store.list(id, "", "", [&](const StoredPtr& stored) {
      auto text = c.store.text(id, stored);
      auto object = text.ok() ? parse_json(**text) : Result<Json>(text.error());
      if (object.ok() && string_at(*object, {"metadata", "annotations", "storageclass.kubernetes.io/is-default-class"}) == "true")
        spec["storageClassName"] = stored->name;
      return true;
    });
    return {};
  }
  std::vector<Cause> validate(StrategyContext&, const Json& o, const Json* old) const override {
    std::vector<Cause> out;
    if (!old || !o.contains("spec") || !old->contains("spec")) return out;
    Json now = o["spec"], was = (*old)["spec"];
    // A claim may be bound (volumeName set once) and may grow; the rest stays.
    if (string_at(was, {"volumeName"}).empty()) was.erase("volumeName"), now.erase("volumeName");
    for (Json* s : {&now, &was}) if (s->contains("resources")) (*s)["resources"].erase("requests");
    if (now != was)
      out.push_back({"spec", "FieldValueForbidden",
                     "Forbidden: spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims"});
    return out;
  }
};

class VolumeStrategy final : public PlainStrategy {
 public:
  VolumeStrategy() : PlainStrategy(false) {}
  Result<void> prepare_create(StrategyContext&, Json& o) const override {
    o["status"] = {{"phase", "Pending"}};
    if (o.contains("spec") && o["spec"].is_object() && !o["spec"].contains("volumeMode")) o["spec"]["volumeMode"] = "Filesystem";
    return {};
  }
};


class ApiServiceStrategy final : public PlainStrategy {
 public:
  ApiServiceStrategy() : PlainStrategy(false) {}
  std::vector<Cause> validate(StrategyContext&, const Json& o, const Json*) const override {
    auto want = string_at(o, {"spec", "version"}) + "." + string_at(o, {"spec", "group"});
    auto name = string_at(o, {"metadata", "name"});
    if (want == name || (string_at(o, {"spec", "group"}).empty() && name == string_at(o, {"spec", "version"}) + ".")) return {};
    return {{"metadata.name", "FieldValueInvalid", fmt::format("Invalid value: \"{}\": must be `spec.version+\".\"+spec.group`: \"{}\"", name, want)}};
  }
  std::string check_name(std::string_view name) const override { return check_path_segment(name); }
};

class PriorityClassStrategy final : public PlainStrategy {
 public:
  PriorityClassStrategy() : PlainStrategy(true) {}
  std::vector<Cause> validate(StrategyContext&, const Json& o, const Json* old) const override {
    std::vector<Cause> out;
    if (old && int_at(o, {"value"}) != int_at(*old, {"value"}))
      out.push_back({"value", "FieldValueForbidden", "Forbidden: may not be changed in an update."});
    if (!old && int_at(o, {"value"}) > 1000000000 && !string_at(o, {"metadata", "name"}).starts_with("system-"))
      out.push_back({"value", "FieldValueForbidden", "Forbidden: maximum allowed value of a user defined priority is 1000000000"});
    return out;
  }
};

}  // namespace

Result<void> PathNameStrategy::prepare_update(StrategyContext&, Json&, const Json&, const std::string&) const { return {}; }

std::vector<Cause> PathNameStrategy::validate(StrategyContext&, const Json& o, const Json* old) const {
  if (!old || !old->contains("roleRef") || o.value("roleRef", Json()) == (*old)["roleRef"]) return {};
  return {{"roleRef", "FieldValueInvalid", fmt::format("Invalid value: {}: cannot change roleRef", dump_json(o.value("roleRef", Json())))}};
}

std::map<std::string, const Strategy*> builtin_strategies() {
  static const NamespaceStrategy namespaces;
  static const SecretStrategy secrets;
  static const ConfigMapStrategy configmaps;
  static const ClaimStrategy claims;
  static const VolumeStrategy volumes;
  static const PathNameStrategy rbac;
  static const ApiServiceStrategy api_services;
  static const PriorityClassStrategy priority_classes;
  static const PlainStrategy counted(true);
  std::map<std::string, const Strategy*> out = {
      {"namespaces", &namespaces}, {"secrets", &secrets}, {"configmaps", &configmaps}, {"persistentvolumeclaims", &claims},
      {"persistentvolumes", &volumes}, {"pods", &pod_strategy()}, {"services", &service_strategy()},
      {"customresourcedefinitions.apiextensions.k8s.io", &definition_strategy()},
      {"apiservices.apiregistration.k8s.io", &api_services},
      {"priorityclasses.scheduling.k8s.io", &priority_classes},
      {"poddisruptionbudgets.policy", &counted},
      {"mutatingwebhookconfigurations.admissionregistration.k8s.io", &counted},
      {"validatingwebhookconfigurations.admissionregistration.k8s.io", &counted},
  };
  for (const char* kind : {"roles", "rolebindings", "clusterroles", "clusterrolebindings"})
    out[std::string(kind) + ".rbac.authorization.k8s.io"] = &rbac;
  return out;
}

}  // namespace nodevirt::apiserver
