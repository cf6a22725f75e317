#include "standalone/apiserver/handlers/selection.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "standalone/apiserver/errors.hpp"

namespace nodevirt::apiserver {

namespace {
std::string stored_field(const std::string& field) {
  if (field.starts_with("regarding.")) return "involvedObject." + field.substr(10);
  if (field == "reportingController") return "reportingComponent";
  return field;
}
}  // namespace

Result<Selection> Selection::parse(const net::Query& query, ResourcePtr resource, const std::string& version, std::string ns, std::string name) {
  Selection s;
  s.ns_ = std::move(ns);
  s.name_ = std::move(name);
  s.renamed_ = resource->from_stored != nullptr;
  if (auto text = query.get_or("labelSelector", ""); !text.empty()) {
    auto parsed = k8s::LabelSelector::parse(text);
    if (!parsed.ok()) return bad_request(fmt::format("unable to parse requirement: {}", parsed.error().message));
    s.labels_ = std::move(*parsed);
  }
  if (auto text = query.get_or("fieldSelector", ""); !text.empty()) {
    auto parsed = k8s::FieldSelector::parse(text);
    if (!parsed.ok()) return bad_request(parsed.error().message);
    s.fields_ = std::move(*parsed);
    const auto* v = resource->version(version);
    for (const auto& r : s.fields_.requirements()) {
      bool known = r.field == "metadata.name" || (r.field == "metadata.namespace" && resource->namespaced) ||
                   std::find(resource->fields.begin(), resource->fields.end(), r.field) != resource->fields.end() ||
                   (v && std::find(v->selectable.begin(), v->selectable.end(), r.field) != v->selectable.end());
      if (!known) return bad_request(fmt::format("field label not supported: {}", r.field));
    }
  }
  return s;
}

bool Selection::matches(const StoredObject& o) const {
  if (!ns_.empty() && o.ns != ns_) return false;
  if (!name_.empty() && o.name != name_) return false;
  if (!labels_.empty() && !labels_.matches(o.index.labels)) return false;
  if (fields_.empty()) {
    return true;
  }
  return fields_.matches([&](const std::string& field) -> std::string {
    if (field == "metadata.name") return o.name;
    if (field == "metadata.namespace") return o.ns;
    auto it = o.index.fields.find(renamed_ ? stored_field(field) : field);
    return it == o.index.fields.end() ? std::string() : it->second;
  });
}

std::string selected_name(const net::Query& query) {
  auto parsed = k8s::FieldSelector::parse(query.get_or("fieldSelector", ""));
  if (!parsed.ok()) return "";
  for (const auto& r : parsed->requirements())
    if (r.field == "metadata.name" && r.equals) return r.value;
  return "";
}

}  // namespace nodevirt::apiserver
