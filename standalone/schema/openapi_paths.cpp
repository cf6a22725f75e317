#include "standalone/schema/openapi_paths.hpp"

#include <algorithm>

#include "standalone/schema/builtin_types.hpp"

namespace nodevirt::schema {

namespace {

struct Body {
  std::string group, version, kind;
};

bool has(const std::vector<std::string>& verbs, std::string_view verb) {
  return std::find(verbs.begin(), verbs.end(), verb) != verbs.end();
}

Json parameter(const char* in, const char* name, const char* type, const char* description, OpenApiVersion version, bool required = false) {
  Json p = Json::object();
  p["in"] = in;
  p["name"] = name;
  p["description"] = description;
  if (required) p["required"] = true;
  if (version == OpenApiVersion::V3) p["schema"]["type"] = type;
  else p["type"] = type;
  return p;
}

void add_query(Json& parameters, std::string_view verb, OpenApiVersion v) {
  auto add = [&](const char* name, const char* type, const char* text) { parameters.push_back(parameter("query", name, type, text, v)); };
  add("pretty", "string", "Whether the answer is indented.");
  if (verb == "create" || verb == "update" || verb == "patch") {
    add("dryRun", "string", "\"All\": nothing is stored.");
    add("fieldManager", "string", "The name under which set fields are recorded.");
    add("fieldValidation", "string", "What happens with unknown and doubled fields: Ignore, Warn or Strict.");
  }
  if (verb == "patch") add("force", "boolean", "Applying takes fields over from others.");
  if (verb == "delete" || verb == "deletecollection") {
    add("dryRun", "string", "\"All\": nothing is deleted.");
    add("gracePeriodSeconds", "integer", "How long the object may take to end.");
    add("propagationPolicy", "string", "What happens with dependents: Orphan, Background or Foreground.");
  }
  if (verb == "list" || verb == "deletecollection") {
    add("labelSelector", "string", "Only objects with these labels.");
    add("fieldSelector", "string", "Only objects with these fields.");
    add("limit", "integer", "At most so many objects.");
    add("continue", "string", "Where the previous list ended.");
    add("resourceVersion", "string", "How fresh the answer has to be.");
    add("watch", "boolean", "Stream changes.");
  }
}

std::string action(std::string_view verb) {
  if (verb == "create") return "post";
  if (verb == "update") return "put";
  return std::string(verb);
}

Json operation(std::string_view verb, const ApiKind& k, const Body& body, const std::string& id, OpenApiVersion v) {
  Json op = Json::object();
  op["operationId"] = id;
  op["parameters"] = Json::array();
  add_query(op["parameters"], verb, v);
  std::string name = definition_name(body.group, body.version, body.kind);
  const Json in = reference(name, v);
  const Json out = reference(verb == "list" ? name + "List" : name, v);
  const bool sends = verb == "create" || verb == "update";
  Json ok = Json::object();
  ok["description"] = "OK";
  const bool answers = verb != "delete" && verb != "deletecollection";
  if (v == OpenApiVersion::V3) {
    if (sends) {
      op["requestBody"]["content"]["*/*"]["schema"] = in;
      op["requestBody"]["required"] = true;
    } else if (verb == "patch") {
      for (const char* type : {"application/json-patch+json", "application/merge-patch+json", "application/apply-patch+yaml"})
        op["requestBody"]["content"][type]["schema"]["type"] = "object";
      if (!k.schema && !k.load_schema) op["requestBody"]["content"]["application/strategic-merge-patch+json"]["schema"]["type"] = "object";
    }
    if (answers) ok["content"]["application/json"]["schema"] = out;
  } else {
    if (sends) {
      Json p = Json::object();
      p["in"] = "body";
      p["name"] = "body";
      p["required"] = true;
      p["schema"] = in;
      op["parameters"].push_back(std::move(p));
    }
    if (answers) ok["schema"] = out;
    op["produces"] = Json::array();
    op["produces"].push_back("application/json");
  }
  op["responses"]["200"] = std::move(ok);
  op["x-kubernetes-action"] = action(verb);
  Json gvk = Json::object();
  gvk["group"] = body.group;
  gvk["version"] = body.version;
  gvk["kind"] = body.kind;
  op["x-kubernetes-group-version-kind"] = std::move(gvk);
  return op;
}

void add_item(Json& paths, const std::string& path, const ApiKind& k, const std::vector<std::string>& verbs, const Body& body,
              const std::string& id, OpenApiVersion v) {
  static constexpr std::pair<std::string_view, const char*> methods[] = {
      {"get", "get"}, {"list", "get"}, {"create", "post"}, {"update", "put"}, {"patch", "patch"}, {"delete", "delete"}, {"deletecollection", "delete"}};
  Json item = Json::object();
  for (auto [verb, method] : methods)
    if (has(verbs, verb)) item[method] = operation(verb, k, body, std::string(verb) + id, v);
  if (item.empty()) return;
  Json parameters = Json::array();
  for (const char* name : {"name", "namespace"})
    if (path.find(std::string("{") + name + "}") != std::string::npos)
      parameters.push_back(parameter("path", name, "string", "", v, true));
  if (!parameters.empty()) item["parameters"] = std::move(parameters);
  paths[path] = std::move(item);
}

std::vector<std::string> only(const std::vector<std::string>& verbs, std::initializer_list<std::string_view> which) {
  std::vector<std::string> out;
  for (auto w : which)
    if (has(verbs, w)) out.emplace_back(w);
  return out;
}

}  // namespace

void add_paths(Json& paths, const ApiKind& k, OpenApiVersion v) {
  const std::string base = k.group.empty() ? "/api/" + k.version : "/apis/" + k.group + "/" + k.version;
  const std::string collection = base + (k.namespaced ? "/namespaces/{namespace}/" : "/") + k.plural;
  const Body own{k.group, k.version, k.kind};
  std::string id = k.version + (k.namespaced ? "Namespaced" : "") + k.kind;
  if (!k.group.empty()) {
    std::string group;
    for (char c : k.group)
      if (std::isalnum(static_cast<unsigned char>(c))) group += c;
    id = group + id;
  }
  add_item(paths, collection, k, only(k.verbs, {"list", "create", "deletecollection"}), own, id, v);
  add_item(paths, collection + "/{name}", k, only(k.verbs, {"get", "update", "patch", "delete"}), own, id, v);
  if (k.namespaced) add_item(paths, base + "/" + k.plural, k, only(k.verbs, {"list"}), own, id + "ForAllNamespaces", v);
  for (const auto& s : k.subresources) {
    // A body that has no definition of its own (logs, streams) is described as the kind's.
    const bool known = !s.kind.empty() && builtin_type_name(s.group, s.version, s.kind);
    const Body body = known ? Body{s.group, s.version, s.kind} : own;
    add_item(paths, collection + "/{name}/" + s.name, k, s.verbs, body, id + "_" + s.name, v);
  }
}

}  // namespace nodevirt::schema
