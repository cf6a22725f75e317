#include "standalone/apiserver/resources/resource_info.hpp"

#include <algorithm>
#include <tuple>

#include "pkg/k8s/selector.hpp"
#include "standalone/schema/jsonpath.hpp"

namespace nodevirt::apiserver {

const ServedVersion* ResourceInfo::version(std::string_view name) const {
  for (const auto& v : versions) if (v.name == name && v.served) return &v;
  return nullptr;
}

const ServedVersion& ResourceInfo::storage() const {
  for (const auto& v : versions) if (v.storage) return v;
  return versions.front();
}

bool ResourceInfo::allows(std::string_view verb) const {
  return std::find(verbs.begin(), verbs.end(), verb) != verbs.end();
}

const Subresource* ResourceInfo::subresource(std::string_view name) const {
  for (const auto& s : subresources) if (s.name == name) return &s;
  return nullptr;
}

namespace {

std::vector<std::string> strings(const Json& o, const char* key) {
  std::vector<std::string> out;
  if (const Json* list = find(o, {key}); list && list->is_array())
    for (const auto& s : *list) if (s.is_string()) out.push_back(s.get<std::string>());
  return out;
}

// (is a Kubernetes version, stability, major, minor); greater is preferred.
std::tuple<int, int, long, long, std::string> rank(std::string_view v) {
  auto number = [&v](long& out) {
    std::size_t n = 0;
    out = 0;
    while (n < v.size() && n < 9 && v[n] >= '0' && v[n] <= '9') out = out * 10 + (v[n++] - '0');
    v.remove_prefix(n);
    return n > 0;
  };
  std::string whole(v);
  auto other = std::make_tuple(0, 0, 0L, 0L, whole);
  long major = 0, minor = 0;
  if (v.empty() || v[0] != 'v') return other;
  v.remove_prefix(1);
  if (!number(major)) return other;
  if (v.empty()) return {1, 3, major, 0, ""};
  int stability = v.starts_with("beta") ? 2 : v.starts_with("alpha") ? 1 : 0;
  if (!stability) return other;
  v.remove_prefix(stability == 2 ? 4 : 5);
  if (!number(minor) || !v.empty()) return other;
  return {1, stability, major, minor, ""};
}

}  // namespace

bool version_precedes(std::string_view a, std::string_view b) {
  auto ra = rank(a), rb = rank(b);
  if (std::get<0>(ra) == 0 && std::get<0>(rb) == 0) return a < b;
  return ra > rb;
}

Json definition_summary(const Json& definition) {
  Json out = Json::object();
  out["metadata"] = Json::object();
  for (const char* key : {"name", "uid", "generation", "deletionTimestamp", "annotations"})
    if (const Json* v = find(definition, {"metadata", key}); v && std::string_view(key) != "annotations") out["metadata"][key] = *v;
  out["spec"] = definition.value("spec", Json::object());
  out["status"] = definition.value("status", Json::object());
  if (out["spec"].contains("versions") && out["spec"]["versions"].is_array())
    for (auto& v : out["spec"]["versions"]) if (v.is_object()) v.erase("schema");
  return out;
}

ResourceInfo custom_resource(const Json& d, std::int64_t revision) {
  ResourceInfo r;
  r.custom = true;
  r.crd = string_at(d, {"metadata", "name"});
  r.crd_revision = revision;
  r.group = string_at(d, {"spec", "group"});
  // What is served are the accepted names: a conflicting definition keeps the ones it has.
  const Json* names = find(d, {"status", "acceptedNames"});
  if (!names || string_at(*names, {"plural"}).empty()) names = find(d, {"spec", "names"});
  if (names) {
    r.plural = string_at(*names, {"plural"});
    r.kind = string_at(*names, {"kind"});
    r.singular = string_at(*names, {"singular"});
    r.list_kind = string_at(*names, {"listKind"}, r.kind + "List");
    r.short_names = strings(*names, "shortNames");
    r.categories = strings(*names, "categories");
  }
  r.id = r.plural + "." + r.group;
  r.namespaced = string_at(d, {"spec", "scope"}) != "Cluster";
  r.verbs = {"delete", "deletecollection", "get", "list", "patch", "create", "update", "watch"};
  if (const Json* c = find(d, {"spec", "conversion"})) r.conversion = *c;
  r.terminating = find(d, {"metadata", "deletionTimestamp"}) != nullptr;
  r.established = false;
  if (const Json* conditions = find(d, {"status", "conditions"}); conditions && conditions->is_array())
    for (const auto& c : *conditions)
      if (string_at(c, {"type"}) == "Established") r.established = string_at(c, {"status"}) == "True";
  if (const Json* versions = find(d, {"spec", "versions"}); versions && versions->is_array())
    for (const auto& v : *versions) {
      ServedVersion s;
      s.name = string_at(v, {"name"});
      s.served = bool_at(v, {"served"});
      s.storage = bool_at(v, {"storage"});
      if (bool_at(v, {"deprecated"}))
        s.deprecation = string_at(v, {"deprecationWarning"}, r.group + "/" + s.name + " " + r.kind + " is deprecated");
      s.status = find(v, {"subresources", "status"}) != nullptr;
      if (const Json* scale = find(v, {"subresources", "scale"})) { s.scale = true; s.scale_paths = *scale; }
      if (const Json* columns = find(v, {"additionalPrinterColumns"})) s.columns = *columns;
      if (const Json* f = find(v, {"selectableFields"}); f && f->is_array())
        for (const auto& one : *f) {
          auto path = string_at(one, {"jsonPath"});
          s.selectable.push_back(path.starts_with('.') ? path.substr(1) : path);
        }
      r.versions.push_back(std::move(s));
    }
  std::stable_sort(r.versions.begin(), r.versions.end(),
                   [](const auto& a, const auto& b) { return version_precedes(a.name, b.name); });
  return r;
}

namespace {

/// What the garbage collector looks at, so that it parses no object: owners, finalizers, deletion.
std::string lifecycle_summary(const Json& object) {
  const Json* m = find(object, {"metadata"});
  if (!m || !m->is_object()) return "";
  Json out = Json::object();
  if (auto it = m->find("ownerReferences"); it != m->end() && it->is_array() && !it->empty()) {
    Json owners = Json::array();
    for (const auto& o : *it)
      owners.push_back({{"uid", string_at(o, {"uid"})}, {"api", string_at(o, {"apiVersion"})}, {"kind", string_at(o, {"kind"})},
                        {"block", bool_at(o, {"blockOwnerDeletion"})}});
    out["owners"] = std::move(owners);
  }
  if (m->contains("deletionTimestamp")) out["deleting"] = true;
  if (auto it = m->find("finalizers"); it != m->end() && it->is_array())
    for (const auto& f : *it)
      if (f == "orphan" || f == "foregroundDeletion") out[f.get<std::string>()] = true;
  return out.empty() ? "" : dump_json(out);
}

}  // namespace

ObjectIndex index_of(const ResourceInfo& info, const Json& object) {
  ObjectIndex index;
  index.uid = string_at(object, {"metadata", "uid"});
  index.labels = k8s::labels_of(object);
  auto text = [](const Json& v) {
    return v.is_string() ? v.get<std::string>() : v.is_boolean() ? std::string(v.get<bool>() ? "true" : "false")
           : v.is_number() ? v.dump() : std::string();
  };
  auto add = [&](const std::string& field, const std::string& path) {
    const Json* at = &object;
    std::size_t from = 0;
    while (at && from <= path.size()) {
      auto dot = std::min(path.find('.', from), path.size());
      if (!at->is_object()) { at = nullptr; break; }
      auto it = at->find(path.substr(from, dot - from));
      at = it == at->end() ? nullptr : &*it;
      from = dot + 1;
    }
    if (at) if (auto value = text(*at); !value.empty()) index.fields[field] = std::move(value);
  };
  for (const auto& field : info.fields) {
    if (field == "spec.unschedulable" || field == "spec.hostNetwork") {
      add(field, field);
      if (!index.fields.contains(field)) index.fields[field] = "false";
    } else if (field == "source") {
      add(field, "source.component");
      if (!index.fields.contains(field)) add(field, "reportingComponent");
    } else {
      add(field, field);
    }
  }
  if (info.custom) for (const auto& field : info.storage().selectable) add(field, field);
  if (info.id == "customresourcedefinitions.apiextensions.k8s.io") index.summary = dump_json(definition_summary(object));
  else index.summary = lifecycle_summary(object);
  return index;
}

}  // namespace nodevirt::apiserver
