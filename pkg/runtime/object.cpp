#include "pkg/base/json.hpp"
#include "pkg/k8s/selector.hpp"
#include "pkg/runtime/informer.hpp"

namespace nodevirt::runtime {

ObjectMeta ObjectMeta::from_json(const Json& object) {
  ObjectMeta m;
  m.ns = string_at(object, {"metadata", "namespace"});
  m.name = string_at(object, {"metadata", "name"});
  m.uid = string_at(object, {"metadata", "uid"});
  m.resource_version = string_at(object, {"metadata", "resourceVersion"});
  m.deletion_timestamp = string_at(object, {"metadata", "deletionTimestamp"});
  m.generation = int_at(object, {"metadata", "generation"});
  m.labels = k8s::labels_of(object);
  if (const Json* a = find(object, {"metadata", "annotations"}); a && a->is_object())
    for (auto it = a->begin(); it != a->end(); ++it)
      if (it->is_string()) m.annotations.emplace(it.key(), it->get<std::string>());
  return m;
}

Json RawObject::json() const {
  auto parsed = parse_json(text, 256);
  return parsed.ok() ? std::move(*parsed) : Json::object();
}

Result<RawObject> RawObject::decode(const Json& object) {
  RawObject out;
  out.meta = ObjectMeta::from_json(object);
  if (out.meta.name.empty()) return Error(Code::InvalidArgument, "the object has no name");
  out.text = dump_json(object);
  return out;
}

}  // namespace nodevirt::runtime
