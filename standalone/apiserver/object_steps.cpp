#include "standalone/apiserver/object_steps.hpp"

namespace nodevirt::apiserver {

namespace {

bool has_items(const Json& object, std::initializer_list<std::string_view> path) {
  const Json* list = find(object, path);
  return list && list->is_array() && !list->empty();
}

}  // namespace

Json& mutable_meta(Json& object) {
  auto& m = object["metadata"];
  if (!m.is_object()) m = Json::object();
  return m;
}

void copy_or_erase(Json& to, const Json& from, const char* key) {
  auto it = from.find(key);
  if (it == from.end() || it->is_null()) to.erase(key);
  else to[key] = *it;
}

bool held_by_finalizers(const ResourceInfo& info, const Json& object) {
  return has_items(object, {"metadata", "finalizers"}) || (info.id == "namespaces" && has_items(object, {"spec", "finalizers"}));
}

Json without_members(const Json& object, std::initializer_list<const char*> keys) {
  Json out = object;
  for (const char* k : keys) out.erase(k);
  return out;
}

std::vector<Cause> causes_of(const std::vector<schema::FieldError>& errors) {
  std::vector<Cause> out;
  for (const auto& e : errors) out.push_back({e.path, e.type, e.message});
  return out;
}

schema::Writer field_writer(const WriteContext& c, Clock::WallTime now) {
  schema::Writer w{c.manager, c.resource->api_version(c.version), c.subresource, now};
  // What the main resource does not write (the server's own first status) is nobody's.
  const auto* version = c.resource->version(c.version);
  if (c.subresource.empty() && version && version->status) w.ignored = {"status"};
  return w;
}

AdmissionAttributes admission_attributes(const WriteContext& c, std::string operation) {
  AdmissionAttributes a;
  a.resource = c.resource;
  a.version = c.version;
  a.subresource = c.subresource;
  a.operation = std::move(operation);
  a.ns = c.ns;
  a.name = c.name;
  a.user = c.user;
  a.dry_run = c.dry_run;
  return a;
}

}  // namespace nodevirt::apiserver
