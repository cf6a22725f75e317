#include "virt-handler/instances/objects.hpp"

#include "api/names.hpp"

namespace nodevirt::virt_handler {
namespace {

std::string value_of(const std::map<std::string, std::string>& map, std::string_view key) {
  auto found = map.find(std::string(key));
  return found == map.end() ? std::string() : found->second;
}

}  // namespace

Result<InstanceObject> InstanceObject::decode(const Json& object) {
  NV_TRY(api::Instance view, api::decode_instance(object));
  InstanceObject out;
  out.meta = runtime::ObjectMeta::from_json(object);
  out.view = std::make_shared<const api::Instance>(std::move(view));
  out.text = dump_json(object);
  out.migration = migration::migration_of(object);
  return out;
}

Result<PodObject> PodObject::decode(const Json& object) {
  PodObject out;
  out.meta = runtime::ObjectMeta::from_json(object);
  out.instance_uid = value_of(out.meta.labels, api::kCreatedByLabel);
  out.instance_name = value_of(out.meta.annotations, api::kDomainAnnotation);
  if (out.instance_uid.empty() || out.instance_name.empty())
    return Error{Code::InvalidArgument, fmt::format("pod {} names no instance", out.meta.key())};
  // They become parts of paths.
  for (const std::string* part : {&out.meta.uid, &out.instance_uid})
    if (part->empty() || part->find_first_not_of("0123456789abcdefABCDEF-") != std::string::npos)
      return Error{Code::InvalidArgument, fmt::format("pod {} has an uid that is none", out.meta.key())};
  out.node = string_at(object, {"spec", "nodeName"});
  out.phase = string_at(object, {"status", "phase"});
  out.ip = string_at(object, {"status", "podIP"});
  out.deleting = !out.meta.deletion_timestamp.empty();
  if (const Json* ips = find(object, {"status", "podIPs"}); ips && ips->is_array())
    for (const Json& item : *ips)
      if (std::string ip = string_at(item, {"ip"}); ip.find(':') != std::string::npos) out.ip6 = ip;
  return out;
}

}  // namespace nodevirt::virt_handler
