#include "virt-controller/objects.hpp"

#include "api/fence.hpp"
#include "api/names.hpp"
#include "api/quantity.hpp"

namespace nodevirt::virt_controller {

namespace {

std::string value_of(const std::map<std::string, std::string>& map, std::string_view key) {
  auto it = map.find(std::string(key));
  return it == map.end() ? "" : it->second;
}

Result<runtime::ObjectMeta> meta_of(const Json& object) {
  auto meta = runtime::ObjectMeta::from_json(object);
  if (meta.name.empty() || meta.uid.empty()) return Error(Code::InvalidArgument, "it has no name or no uid");
  return meta;
}

// Reasons to wait that are nobody's fault and end by themselves.
bool ordinary(const std::string& reason) { return reason.empty() || reason == "ContainerCreating" || reason == "PodInitializing"; }

}  // namespace

std::vector<std::string> claims_of(const Json& spec) {
  std::vector<std::string> out;
  const Json* volumes = find(spec, {"volumes"});
  if (!volumes || !volumes->is_array()) return out;
  for (const auto& v : *volumes) {
    std::string name = string_at(v, {"persistentVolumeClaim", "claimName"});
    if (name.empty()) name = string_at(v, {"ephemeral", "persistentVolumeClaim", "claimName"});
    if (name.empty()) name = string_at(v, {"dataVolume", "name"});
    if (!name.empty() && std::find(out.begin(), out.end(), name) == out.end()) out.push_back(std::move(name));
  }
  return out;
}

Json KubevirtObject::json() const {
  auto parsed = parse_json(text, 256);
  return parsed.ok() ? std::move(*parsed) : Json::object();
}

Result<KubevirtObject> KubevirtObject::decode(const Json& object) {
  KubevirtObject out;
  NV_TRY(out.meta, meta_of(object));
  out.text = dump_json(object);
  const Json* spec = find(object, {"spec"});
  if (const Json* inner = find(object, {"spec", "template", "spec"})) spec = inner;
  if (spec) out.claims = claims_of(*spec);
  out.phase = string_at(object, {"status", "phase"});
  if (out.phase.empty()) out.phase = string_at(object, {"status", "printableStatus"});
  out.node = string_at(object, {"status", "nodeName"});
  if (const Json* moved = find(object, {"status", "migratedVolumes"})) out.moves_volumes = moved->is_array() && !moved->empty();
  return out;
}

Result<PodObject> PodObject::decode(const Json& object) {
  PodObject out;
  NV_TRY(out.meta, meta_of(object));
  out.instance_uid = value_of(out.meta.labels, api::kCreatedByLabel);
  out.instance_name = value_of(out.meta.annotations, api::kDomainAnnotation);
  out.migration_uid = value_of(out.meta.labels, api::kMigrationJobLabel);
  out.priority = int_at(object, {"spec", "priority"});
  if (const Json* spec = find(object, {"spec"})) out.claims = claims_of(*spec);
  std::sort(out.claims.begin(), out.claims.end());
  out.node = string_at(object, {"spec", "nodeName"});
  out.phase = string_at(object, {"status", "phase"});
  out.qos_class = string_at(object, {"status", "qosClass"});
  out.reason = string_at(object, {"status", "reason"});
  out.message = string_at(object, {"status", "message"});
  if (const Json* list = find(object, {"status", "conditions"}); list && list->is_array())
    for (const auto& c : *list)
      out.conditions.push_back({string_at(c, {"type"}), string_at(c, {"status"}), string_at(c, {"reason"}), string_at(c, {"message"}), "", ""});
  for (const char* kind : {"initContainerStatuses", "containerStatuses"}) {
    const Json* list = find(object, {"status", kind});
    if (!list || !list->is_array()) continue;
    for (const auto& c : *list) {
      if (string_at(c, {"name"}) == api::kComputeContainer && find(c, {"state", "running"})) out.compute_running = true;
      std::string reason = string_at(c, {"state", "waiting", "reason"});
      if (ordinary(reason) || !out.waiting_reason.empty()) continue;
      out.waiting_reason = std::move(reason);
      out.waiting_message = string_at(c, {"state", "waiting", "message"});
    }
  }
  if (const Json* gates = find(object, {"spec", "readinessGates"}); gates && gates->is_array()) out.gated = !gates->empty();
  return out;
}

const api::Condition* PodObject::condition(std::string_view type) const {
  for (const auto& c : conditions)
    if (c.type == type) return &c;
  return nullptr;
}

std::string NodeObject::heartbeat() const { return value_of(meta.annotations, api::kHeartbeatAnnotation); }

Result<NodeObject> NodeObject::decode(const Json& object) {
  NodeObject out;
  NV_TRY(out.meta, meta_of(object));
  // Only what is looked at: nodes carry long lists of labels and images.
  std::map<std::string, std::string> labels, annotations;
  if (auto v = value_of(out.meta.labels, api::kSchedulableLabel); !v.empty()) labels.emplace(api::kSchedulableLabel, v);
  for (const auto& [key, v] : out.meta.labels)
    if (key == api::kAcceleratorLabel || key.starts_with("cpu-") || key.starts_with("host-model-")) labels.emplace(key, v);
  if (auto v = value_of(out.meta.annotations, api::kHeartbeatAnnotation); !v.empty()) annotations.emplace(api::kHeartbeatAnnotation, v);
  out.meta.labels = std::move(labels);
  out.meta.annotations = std::move(annotations);
  out.unschedulable = bool_at(object, {"spec", "unschedulable"});
  if (const Json* taints = find(object, {"spec", "taints"}); taints && taints->is_array())
    for (const auto& t : *taints)
      if (std::string effect = string_at(t, {"effect"}); effect == "NoSchedule" || effect == "NoExecute") out.taints.push_back(string_at(t, {"key"}));
  return out;
}

Result<ClaimObject> ClaimObject::decode(const Json& object) {
  ClaimObject out;
  NV_TRY(out.meta, meta_of(object));
  out.phase = string_at(object, {"status", "phase"});
  out.block = string_at(object, {"spec", "volumeMode"}) == "Block";
  out.info = {{"claimName", out.meta.name}, {"volumeMode", out.block ? "Block" : "Filesystem"}};
  if (const Json* modes = find(object, {"spec", "accessModes"})) out.info["accessModes"] = *modes;
  if (const Json* requests = find(object, {"spec", "resources", "requests"})) out.info["requests"] = *requests;
  if (const Json* capacity = find(object, {"status", "capacity"})) out.info["capacity"] = *capacity;
  return out;
}

std::int64_t ClaimObject::bytes() const {
  std::string text = string_at(info, {"capacity", "storage"});
  if (text.empty()) text = string_at(info, {"requests", "storage"}, "0");
  auto size = api::Quantity::parse(text);
  return size.ok() ? size->value() : 0;
}

Result<LeaseObject> LeaseObject::decode(const Json& object) {
  LeaseObject out;
  NV_TRY(out.meta, meta_of(object));
  out.fences = api::fence_entries(out.meta.annotations);
  out.meta.annotations.clear();
  return out;
}

}  // namespace nodevirt::virt_controller

template class nodevirt::runtime::Informer<nodevirt::virt_controller::KubevirtObject>;
template class nodevirt::runtime::Informer<nodevirt::virt_controller::PodObject>;
template class nodevirt::runtime::Informer<nodevirt::virt_controller::NodeObject>;
template class nodevirt::runtime::Informer<nodevirt::virt_controller::ClaimObject>;
template class nodevirt::runtime::Informer<nodevirt::virt_controller::LeaseObject>;
