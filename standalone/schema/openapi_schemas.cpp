#include "standalone/schema/openapi_schemas.hpp"

#include "standalone/schema/builtin_types.hpp"
#include "standalone/schema/compiler.hpp"

namespace nodevirt::schema {

namespace {

constexpr std::string_view kTime = "io.k8s.apimachinery.pkg.apis.meta.v1.Time";
constexpr std::string_view kMicroTime = "io.k8s.apimachinery.pkg.apis.meta.v1.MicroTime";
constexpr std::string_view kQuantity = "io.k8s.apimachinery.pkg.api.resource.Quantity";
constexpr std::string_view kIntOrString = "io.k8s.apimachinery.pkg.util.intstr.IntOrString";
constexpr std::string_view kObjectMeta = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta";
constexpr std::string_view kListMeta = "io.k8s.apimachinery.pkg.apis.meta.v1.ListMeta";

constexpr std::string_view kApiVersionText = "The group and version of the schema of this object.";
constexpr std::string_view kKindText = "The kind of this object, in CamelCase.";

/// "core.v1.Pod" -> "io.k8s.api.core.v1.Pod"
std::string builtin_name(std::string_view type) {
  std::string_view prefix = "io.k8s.api.";
  if (type.starts_with("meta.")) prefix = "io.k8s.apimachinery.pkg.apis.";
  else if (type.starts_with("apiextensions.")) prefix = "io.k8s.apiextensions-apiserver.pkg.apis.";
  else if (type.starts_with("apiregistration.")) prefix = "io.k8s.kube-aggregator.pkg.apis.";
  return std::string(prefix) + std::string(type);
}

Json gvk(const ApiKind& k, const std::string& kind) {
  Json v = Json::object();
  v["group"] = k.group;
  v["version"] = k.version;
  v["kind"] = kind;
  return v;
}

/// A reference that keeps what stands beside it.
void refer(Json& schema, std::string_view name, OpenApiVersion version) {
  Json ref = reference(name, version);
  for (const char* gone : {"type", "format", "$ref"}) schema.erase(gone);
  if (schema.empty() || version == OpenApiVersion::V2) {
    schema["$ref"] = ref["$ref"];
  } else {
    schema["allOf"] = Json::array();
    schema["allOf"].push_back(std::move(ref));
  }
}

/// From the form of builtin_definition to the published one.
void publish_builtin(Json& s, OpenApiVersion version) {
  if (!s.is_object()) return;
  s.erase("x-nodevirt-required");
  s.erase("x-kubernetes-preserve-unknown-fields");
  if (auto ref = s.find("$ref"); ref != s.end()) return refer(s, builtin_name(ref->get<std::string>()), version);
  const std::string format = string_at(s, {"format"});
  if (format == "date-time") return refer(s, kTime, version);
  if (format == "quantity") return refer(s, kQuantity, version);
  if (format == "int-or-string") return refer(s, kIntOrString, version);
  if (auto p = s.find("properties"); p != s.end() && p->is_object())
    for (auto& [name, sub] : p->items()) publish_builtin(sub, version);
  for (const char* name : {"items", "additionalProperties"})
    if (auto sub = s.find(name); sub != s.end() && sub->is_object()) {
      publish_builtin(*sub, version);
      sub->erase("description");
    }
}

/// What OpenAPI v2 cannot say of a custom resource is left out: it is a superset of what is valid.
void to_v2(Json& s, int depth) {
  if (!s.is_object() || depth > kMaxDepth) return;
  for (const char* gone : {"oneOf", "anyOf", "allOf", "not", "nullable", "x-kubernetes-validations"}) s.erase(gone);
  if (bool_at(s, {"x-kubernetes-preserve-unknown-fields"}) || bool_at(s, {"x-kubernetes-int-or-string"})) {
    for (const char* gone : {"type", "items", "properties"}) s.erase(gone);
    return;
  }
  if (auto p = s.find("properties"); p != s.end() && p->is_object())
    for (auto& [name, sub] : p->items()) to_v2(sub, depth + 1);
  for (const char* name : {"items", "additionalProperties"})
    if (auto sub = s.find(name); sub != s.end() && sub->is_object()) to_v2(*sub, depth + 1);
}

Json scalar(const char* type, const char* format, const char* description) {
  Json s = Json::object();
  s["type"] = type;
  if (*format) s["format"] = format;
  if (*description) s["description"] = description;
  return s;
}

void describe(Json& properties) {
  properties["apiVersion"] = scalar("string", "", "");
  properties["apiVersion"]["description"] = std::string(kApiVersionText);
  properties["kind"] = scalar("string", "", "");
  properties["kind"]["description"] = std::string(kKindText);
}

}  // namespace

std::string definition_name(std::string_view group, std::string_view version, std::string_view kind) {
  if (auto type = builtin_type_name(group, version, kind)) return builtin_name(*type);
  // The group's labels, last first.
  std::string out;
  while (!group.empty()) {
    const auto dot = group.rfind('.');
    out += std::string(dot == std::string_view::npos ? group : group.substr(dot + 1)) + ".";
    group = dot == std::string_view::npos ? std::string_view() : group.substr(0, dot);
  }
  return out + std::string(version) + "." + std::string(kind);
}

std::string definition_name(const ApiKind& k) { return definition_name(k.group, k.version, k.kind); }

Json reference(std::string_view name, OpenApiVersion version) {
  Json r = Json::object();
  r["$ref"] = (version == OpenApiVersion::V3 ? "#/components/schemas/" : "#/definitions/") + std::string(name);
  return r;
}

void Definitions::add(const ApiKind& k) {
  add_basics();
  const std::string name = definition_name(k);
  auto type = builtin_type_name(k.group, k.version, k.kind);
  if (type && !k.schema && !k.load_schema) add_builtin(*type);
  else add_custom(k, name);
  if (auto it = all_.find(name); it != all_.end()) {
    it->second["x-kubernetes-group-version-kind"] = Json::array();
    it->second["x-kubernetes-group-version-kind"].push_back(gvk(k, k.kind));
  }
  add_list(k, name);
  for (const auto& s : k.subresources)
    if (!s.kind.empty())
      if (auto body = builtin_type_name(s.group, s.version, s.kind)) {
        add_builtin(*body);
        auto& schema = all_[builtin_name(*body)];
        if (!schema.contains("x-kubernetes-group-version-kind")) {
          ApiKind of{s.group, s.version, s.kind, ""};
          schema["x-kubernetes-group-version-kind"] = Json::array();
          schema["x-kubernetes-group-version-kind"].push_back(gvk(of, s.kind));
        }
      }
}

void Definitions::add_builtin(const std::string& type) {
  if (!seen_.insert(type).second) return;
  auto definition = builtin_definition(type);
  if (!definition) return;
  std::vector<std::string> references;
  collect_references(*definition, references);
  publish_builtin(*definition, version_);
  if (auto p = definition->find("properties"); p != definition->end() && p->contains("apiVersion") && p->contains("kind") && p->contains("metadata"))
    describe(*p);
  all_[builtin_name(type)] = std::move(*definition);
  for (const auto& r : references) add_builtin(r);
}

void Definitions::add_custom(const ApiKind& k, const std::string& name) {
  auto source = k.schema ? k.schema : k.load_schema ? k.load_schema() : nullptr;
  Json s = source && source->is_object() ? *source : Json::object();
  if (version_ == OpenApiVersion::V2) to_v2(s, 0);
  s["type"] = "object";
  Json& properties = s["properties"];
  if (!properties.is_object()) properties = Json::object();
  describe(properties);
  Json metadata = Json::object();
  metadata["description"] = "What every object has: its name, labels, owners and life cycle.";
  refer(metadata, kObjectMeta, version_);
  properties["metadata"] = std::move(metadata);
  all_[name] = std::move(s);
}

void Definitions::add_list(const ApiKind& k, const std::string& name) {
  if (std::find(k.verbs.begin(), k.verbs.end(), "list") == k.verbs.end()) return;
  Json list = Json::object();
  list["type"] = "object";
  list["description"] = "A list of " + k.kind + ".";
  list["required"] = Json::array();
  list["required"].push_back("items");
  Json& properties = list["properties"];
  properties = Json::object();
  describe(properties);
  Json meta = Json::object();
  refer(meta, kListMeta, version_);
  properties["metadata"] = std::move(meta);
  properties["items"]["type"] = "array";
  properties["items"]["items"] = reference(name, version_);
  list["x-kubernetes-group-version-kind"] = Json::array();
  list["x-kubernetes-group-version-kind"].push_back(gvk(k, k.kind + "List"));
  all_[name + "List"] = std::move(list);
}

void Definitions::add_basics() {
  if (!seen_.insert("").second) return;
  Json meta = object_meta_schema();
  publish_builtin(meta, version_);
  all_[std::string(kObjectMeta)] = std::move(meta);
  seen_.insert("meta.v1.ObjectMeta");
  all_[std::string(kTime)] = scalar("string", "date-time", "A time in RFC 3339.");
  all_[std::string(kMicroTime)] = scalar("string", "date-time", "A time in RFC 3339 with microseconds.");
  Json quantity = scalar("string", "", "An amount: 500m, 64M, 1.5Gi, 1e3.");
  Json either = scalar("string", "int-or-string", "A number or a string.");
  if (version_ == OpenApiVersion::V3) {
    for (auto [schema, other] : {std::pair{&quantity, "number"}, {&either, "integer"}}) {
      (*schema).erase("type");
      (*schema)["oneOf"] = Json::array();
      for (const char* type : {"string", other}) (*schema)["oneOf"].push_back(scalar(type, "", ""));
    }
  }
  all_[std::string(kQuantity)] = std::move(quantity);
  all_[std::string(kIntOrString)] = std::move(either);
  Json list = scalar("object", "", "What every list has.");
  for (const char* name : {"resourceVersion", "continue", "selfLink"}) list["properties"][name] = scalar("string", "", "");
  list["properties"]["remainingItemCount"] = scalar("integer", "int64", "");
  all_[std::string(kListMeta)] = std::move(list);
}

}  // namespace nodevirt::schema
