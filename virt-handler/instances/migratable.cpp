// What keeps an instance on its node. The reasons are KubeVirt's.
#include <algorithm>

#include <fmt/format.h>

#include "virt-handler/instances/status.hpp"

namespace nodevirt::virt_handler {
namespace {

bool wants(const api::CpuFeature& feature) { return feature.policy.empty() || feature.policy == "require" || feature.policy == "force"; }

/// Everything but disks.
std::vector<Migratable> obstacles(const api::Instance& vmi) {
  std::vector<Migratable> out;
  auto add = [&](const char* reason, std::string message) { out.push_back({false, reason, std::move(message)}); };
  const api::DomainSpec& domain = vmi.spec.domain;
  for (const api::Interface& interface : domain.devices.interfaces)
    if (interface.binding == "bridge")
      add("InterfaceNotLiveMigratable", fmt::format("interface \"{}\" is bound by a bridge: its address cannot move", interface.name));
  if (domain.cpu && domain.cpu->model == "host-passthrough") add("CPUModeLiveMigratable", "the CPU model host-passthrough differs between nodes");
  if (!domain.devices.host_devices.empty() || !domain.devices.gpus.empty()) add("HostDeviceNotLiveMigratable", "devices of the node cannot move");
  for (const api::Disk& disk : domain.devices.disks)
    if (disk.lun_reservation)
      add("PersistentReservationNotLiveMigratable", fmt::format("disk \"{}\" has a SCSI reservation that belongs to this node", disk.name));
  if (domain.cpu)
    for (const api::CpuFeature& feature : domain.cpu->features)
      if (feature.name == "invtsc" && wants(feature))
        add("NoTSCFrequencyNotLiveMigratable", "the CPU feature invtsc promises a clock rate that another node does not have");
  if (domain.features.hyperv_passthrough.value_or(false)) add("HypervPassthroughNotLiveMigratable", "hypervPassthrough gives the guest what this node has");
  return out;
}

const Json* claim_info(const Json& object, const std::string& volume) {
  const Json* list = find(object, {"status", "volumeStatus"});
  if (!list || !list->is_array()) return nullptr;
  for (const Json& item : *list)
    if (string_at(item, {"name"}) == volume) return find(item, {"persistentVolumeClaimInfo"});
  return nullptr;
}

bool is_moved(const Json& object, const std::string& volume) {
  const Json* list = find(object, {"status", "migratedVolumes"});
  return list && list->is_array() && std::any_of(list->begin(), list->end(), [&](const Json& m) { return string_at(m, {"volumeName"}) == volume; });
}

bool is_shared(const Json& info) {
  const Json* modes = find(info, {"accessModes"});
  return modes && modes->is_array() && std::find(modes->begin(), modes->end(), "ReadWriteMany") != modes->end();
}

Migratable disk_obstacle(const api::Instance& vmi, const Json& object) {
  auto no = [](std::string message) { return Migratable{false, "DisksNotLiveMigratable", std::move(message)}; };
  for (const api::Volume& volume : vmi.spec.volumes) {
    if (volume.kind == api::VolumeKind::hostDisk && !volume.host_disk.shared)
      return no(fmt::format("volume \"{}\" is a disk of this node alone", volume.name));
    if (volume.kind != api::VolumeKind::persistentVolumeClaim && volume.kind != api::VolumeKind::dataVolume) continue;
    const std::string& claim = volume.kind == api::VolumeKind::dataVolume ? volume.data_volume : volume.claim.claim_name;
    if (is_moved(object, volume.name)) continue;
    const Json* info = claim_info(object, volume.name);
    if (!info) return no(fmt::format("it is not known whether claim {} is shared (ReadWriteMany)", claim));
    if (!is_shared(*info))
      return no(fmt::format("claim {} is not shared (ReadWriteMany): its disk has to be moved to another claim (updateVolumesStrategy: Migration)", claim));
  }
  return {};
}

}  // namespace

Migratable live_migratable(const api::Instance& vmi, const Json& object) {
  if (auto all = obstacles(vmi); !all.empty()) return all.front();
  return disk_obstacle(vmi, object);
}

Migratable storage_live_migratable(const api::Instance& vmi) {
  Migratable out;
  for (const Migratable& one : obstacles(vmi)) {
    out.possible = false;
    out.reason = "NotMigratable";
    out.message += (out.message.empty() ? "" : ", ") + one.reason + ": " + one.message;
  }
  return out;
}

bool copies_disks(const api::Instance& vmi, const Json& object) {
  const Json* moved = find(object, {"status", "migratedVolumes"});
  if (moved && moved->is_array() && !moved->empty()) return true;
  for (const api::Volume& volume : vmi.spec.volumes) {
    using K = api::VolumeKind;
    if (volume.kind == K::containerDisk || volume.kind == K::emptyDisk || volume.kind == K::ephemeral) return true;
  }
  return false;
}

}  // namespace nodevirt::virt_handler
