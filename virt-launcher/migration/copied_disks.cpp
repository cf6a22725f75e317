#include "virt-launcher/migration/copied_disks.hpp"

#include <fmt/format.h>

#include "pkg/libvirt/block_info.hpp"

namespace nodevirt::virt_launcher::migration {

Result<void> fit_copies(const libvirt::Domain& domain, const std::string& live, const launcher::v1::PrepareTargetResponse& target,
                        domain::Destination& destination) {
  NV_TRY(auto targets, domain::disk_targets(live));
  for (const auto& disk : target.disks()) {
    if (!disk.copied() || !disk.virtual_size() || targets[disk.volume()].empty()) continue;
    NV_TRY(std::uint64_t size, libvirt::disk_capacity(domain, targets[disk.volume()]));
    if (disk.virtual_size() < size)
      return Error(Code::FailedPrecondition, "DiskTooSmall",
                   fmt::format("volume {}: the disk has {} bytes, and the place at the target only {}", disk.volume(), size, disk.virtual_size()));
    if (disk.virtual_size() == size || disk.format() != "raw") continue;
    for (auto& place : destination.disks)
      if (place.volume == disk.volume()) place.slice = size;
  }
  return {};
}

}  // namespace nodevirt::virt_launcher::migration
