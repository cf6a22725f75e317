#include "virt-handler/migration/moved_volumes.hpp"

#include "virt-handler/instances/conditions.hpp"

namespace nodevirt::virt_handler::migration {
namespace {

const Json* list_at(const Json& vmi, std::string_view name) {
  const Json* list = find(vmi, {"status", name});
  return list && list->is_array() ? list : nullptr;
}

}  // namespace

bool has_moved_volumes(const Json& vmi) {
  const Json* moved = list_at(vmi, "migratedVolumes");
  return moved && !moved->empty();
}

Json volume_status_after_move(const Json& vmi) {
  const Json* stored = list_at(vmi, "volumeStatus");
  Json out = stored ? *stored : Json::array();
  const Json* moved = list_at(vmi, "migratedVolumes");
  if (!moved) return out;
  for (Json& volume : out)
    for (const Json& m : *moved)
      if (const Json* info = find(m, {"destinationPVCInfo"}); info && string_at(m, {"volumeName"}) == string_at(volume, {"name"}))
        volume["persistentVolumeClaimInfo"] = *info;
  return out;
}

Json conditions_after_move(const Json& vmi) {
  const Json* stored = list_at(vmi, "conditions");
  Json out = stored ? *stored : Json::array();
  remove_condition(out, "VolumesChange");
  return out;
}

}  // namespace nodevirt::virt_handler::migration
