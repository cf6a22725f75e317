#include "virt-controller/migration/objects.hpp"

#include "api/names.hpp"

namespace nodevirt::virt_controller::migration {

namespace {

Result<runtime::ObjectMeta> named_meta(const Json& object) {
  auto meta = runtime::ObjectMeta::from_json(object);
  if (meta.name.empty() || meta.uid.empty()) return Error(Code::InvalidArgument, "it has no name or no uid");
  return meta;
}

}  // namespace

std::string MigrationObject::evacuates() const {
  auto it = meta.annotations.find(std::string(api::kEvacuationAnnotation));
  return it == meta.annotations.end() ? "" : it->second;
}

Json MigrationObject::json() const {
  auto parsed = parse_json(text, 256);
  return parsed.ok() ? std::move(*parsed) : Json::object();
}

Result<MigrationObject> MigrationObject::decode(const Json& object) {
  MigrationObject out;
  NV_TRY(out.meta, named_meta(object));
  out.text = dump_json(object);
  out.vmi_name = string_at(object, {"spec", "vmiName"});
  out.priority = string_at(object, {"spec", "priority"});
  out.phase = string_at(object, {"status", "phase"});
  out.created = string_at(object, {"metadata", "creationTimestamp"});
  if (!out.final()) return out;
  out.ended = string_at(object, {"status", "migrationState", "endTimestamp"});
  if (const Json* times = find(object, {"status", "phaseTransitionTimestamps"}); out.ended.empty() && times && times->is_array())
    for (const auto& t : *times)
      if (string_at(t, {"phase"}) == out.phase) out.ended = string_at(t, {"phaseTransitionTimestamp"});
  return out;
}

Result<NamespaceObject> NamespaceObject::decode(const Json& object) {
  NamespaceObject out;
  NV_TRY(out.meta, named_meta(object));
  out.meta.annotations.clear();
  return out;
}

Caches::Caches(client::Client client, Clock& clock)
    : migrations(client, clock, {.resource = k8s::resources::kVirtualMachineInstanceMigrations}),
      policies(client, clock, {.resource = k8s::resources::kMigrationPolicies}),
      kubevirts(client, clock, {.resource = k8s::resources::kKubeVirts, .ns = std::string(api::kSystemNamespace)}),
      namespaces(client, clock, {.resource = k8s::resources::kNamespaces}) {
  migrations.add_index("instance", [](const MigrationObject& m) { return std::vector<std::string>{m.instance_key()}; });
  migrations.add_index("uid", [](const MigrationObject& m) { return std::vector<std::string>{m.meta.uid}; });
}

bool Caches::has_synced() const {
  return migrations.has_synced() && policies.has_synced() && kubevirts.has_synced() && namespaces.has_synced();
}

Awaitable<bool> Caches::synced(StopToken stop) {
  bool complete = co_await migrations.synced(stop);
  complete = complete && co_await policies.synced(stop);
  complete = complete && co_await kubevirts.synced(stop);
  complete = complete && co_await namespaces.synced(stop);
  co_return complete;
}

}  // namespace nodevirt::virt_controller::migration

template class nodevirt::runtime::Informer<nodevirt::virt_controller::migration::MigrationObject>;
template class nodevirt::runtime::Informer<nodevirt::virt_controller::migration::NamespaceObject>;
