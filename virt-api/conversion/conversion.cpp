#include "virt-api/conversion/conversion.hpp"

#include <fmt/format.h>

#include "virt-api/reply.hpp"

namespace nodevirt::virt_api {

namespace {

constexpr std::size_t kMaxObjects = 100000;
using Names = std::map<std::string, std::string>;

Json* member(Json* parent, const char* name) {
  if (!parent || !parent->is_object()) return nullptr;
  auto it = parent->find(name);
  return it == parent->end() ? nullptr : &*it;
}

/// The instance's spec inside an object that has one.
Json* instance_spec(Json& object) {
  auto kind = string_at(object, {"kind"});
  Json* spec = member(&object, "spec");
  if (kind == "VirtualMachineInstance") return spec;
  if (kind == "VirtualMachine" || kind == "VirtualMachineInstanceReplicaSet") return member(member(spec, "template"), "spec");
  return nullptr;
}

Json* list_at(Json* parent, const char* name) {
  Json* list = member(parent, name);
  return list && list->is_array() ? list : nullptr;
}

Json* disks_of(Json* spec) { return list_at(member(member(spec, "domain"), "devices"), "disks"); }

void rename_volumes(Json* spec, const Names& new_names) {
  Json* volumes = list_at(spec, "volumes");
  if (!volumes) return;
  for (auto& v : *volumes) {
    auto it = new_names.find(string_at(v, {"name"}));
    if (it != new_names.end()) v["name"] = it->second;
  }
}

/// Moves registryDisk to containerDisk, and gives the (old) names of those volumes.
Json take_registry_disks(Json* spec) {
  Json names = Json::array();
  Json* volumes = list_at(spec, "volumes");
  if (!volumes) return names;
  for (auto& v : *volumes) {
    if (!v.is_object() || !v.contains("registryDisk") || v.contains("containerDisk")) continue;
    v["containerDisk"] = std::move(v["registryDisk"]);
    v.erase("registryDisk");
    names.push_back(string_at(v, {"name"}));
  }
  return names;
}

void keep_memory(Json& object, Json memory) {
  auto& metadata = object["metadata"];
  if (!metadata.is_object()) metadata = Json::object();
  auto& annotations = metadata["annotations"];
  if (!annotations.is_object()) annotations = Json::object();
  annotations[kV1alpha2Annotation] = dump_json(memory);
}

/// What keep_memory kept, removed from the object; an empty object when there is nothing.
Json take_memory(Json& object) {
  Json* annotations = member(member(&object, "metadata"), "annotations");
  if (!annotations || !annotations->is_object() || !annotations->contains(kV1alpha2Annotation)) return Json::object();
  auto text = string_at(*annotations, {kV1alpha2Annotation});
  annotations->erase(kV1alpha2Annotation);
  if (annotations->empty()) object["metadata"].erase("annotations");
  auto memory = parse_json(text, 8);
  return memory.ok() && memory->is_object() ? *memory : Json::object();
}

void from_v1alpha2(Json& object) {
  Json* spec = instance_spec(object);
  if (!spec) return;
  Names to_disk;                        // volume -> disk
  Json remembered = Json::object();     // disk -> volume
  if (Json* disks = disks_of(spec)) {
    for (auto& d : *disks) {
      if (!d.is_object() || !d.contains("volumeName")) continue;
      auto name = string_at(d, {"name"}), volume = string_at(d, {"volumeName"});
      d.erase("volumeName");
      if (volume.empty() || volume == name) continue;
      if (to_disk.emplace(volume, name).second) remembered[name] = volume;
    }
  }
  Json registry = take_registry_disks(spec);
  rename_volumes(spec, to_disk);
  Json memory = Json::object();
  if (!remembered.empty()) memory["volumeNames"] = std::move(remembered);
  if (!registry.empty()) memory["registryDisks"] = std::move(registry);
  if (!memory.empty()) keep_memory(object, std::move(memory));
}

void to_v1alpha2(Json& object) {
  Json memory = take_memory(object);
  Json* spec = instance_spec(object);
  if (!spec) return;
  Names to_volume;                      // disk -> volume
  if (const Json* names = find(memory, {"volumeNames"}); names && names->is_object())
    for (auto it = names->begin(); it != names->end(); ++it)
      if (it->is_string()) to_volume[it.key()] = it->get<std::string>();
  // A volume that took a remembered name since then keeps both apart by staying with its own.
  if (Json* volumes = list_at(spec, "volumes"))
    for (const auto& v : *volumes)
      std::erase_if(to_volume, [&](const auto& entry) { return entry.second == string_at(v, {"name"}) && !to_volume.contains(entry.second); });
  if (Json* disks = disks_of(spec)) {
    for (auto& d : *disks) {
      if (!d.is_object()) continue;
      auto name = string_at(d, {"name"});
      auto it = to_volume.find(name);
      d["volumeName"] = it == to_volume.end() ? name : it->second;
    }
  }
  rename_volumes(spec, to_volume);
  const Json* registry = find(memory, {"registryDisks"});
  Json* volumes = list_at(spec, "volumes");
  if (!registry || !registry->is_array() || !volumes) return;
  for (auto& v : *volumes) {
    if (!v.is_object() || !v.contains("containerDisk")) continue;
    if (std::find(registry->begin(), registry->end(), Json(string_at(v, {"name"}))) == registry->end()) continue;
    v["registryDisk"] = std::move(v["containerDisk"]);
    v.erase("containerDisk");
  }
}

bool known(std::string_view api_version) {
  return api_version == "kubevirt.io/v1" || api_version == "kubevirt.io/v1alpha3" || api_version == "kubevirt.io/v1alpha2";
}

}  // namespace

Result<Json> convert_object(Json object, std::string_view desired) {
  if (!object.is_object()) return bad_request("an object to convert is no object");
  auto now = string_at(object, {"apiVersion"});
  if (!known(now)) return bad_request("cannot convert from " + now);
  if (!known(desired)) return bad_request(fmt::format("cannot convert to {}", desired));
  if (now == desired) return object;
  if (now == "kubevirt.io/v1alpha2") from_v1alpha2(object);
  if (desired == "kubevirt.io/v1alpha2") to_v1alpha2(object);
  object["apiVersion"] = std::string(desired);
  return object;
}

Result<Json> convert_review(const std::string& body) {
  auto review = parse_json(body);
  if (!review.ok()) return bad_request(review.error().message);
  const Json* request = find(*review, {"request"});
  if (!request || string_at(*request, {"uid"}).empty()) return bad_request("the body is no ConversionReview with a request");
  Json response = {{"uid", string_at(*request, {"uid"})}};
  auto desired = string_at(*request, {"desiredAPIVersion"});
  Json converted = Json::array();
  std::optional<Error> failure;
  if (const Json* objects = find(*request, {"objects"}); objects && objects->is_array()) {
    if (objects->size() > kMaxObjects) failure = bad_request("too many objects in one review");
    for (const auto& object : *objects) {
      if (failure) break;
      auto one = convert_object(object, desired);
      if (!one.ok()) failure = one.error();
      else converted.push_back(std::move(*one));
    }
  }
  if (failure) {
    response["result"] = {{"status", "Failure"}, {"message", failure->message}};
    response["convertedObjects"] = Json::array();
  } else {
    response["result"] = {{"status", "Success"}};
    response["convertedObjects"] = std::move(converted);
  }
  return Json{{"apiVersion", "apiextensions.k8s.io/v1"}, {"kind", "ConversionReview"}, {"response", std::move(response)}};
}

}  // namespace nodevirt::virt_api
