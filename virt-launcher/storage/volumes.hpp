// The instance's volumes, made ready for QEMU.
#pragma once
#include <vector>

#include "api/vmi.hpp"
#include "pkg/domain/domain.hpp"
#include "virt-launcher/options.hpp"

namespace nodevirt::virt_launcher::storage {

/// Finds or makes the image of every volume that a disk uses, side by side. Repeating it keeps the guest's data.
/// An Error names the volume, what is wrong with it and, where known, what to do. `raw` is the instance as JSON.
Result<std::vector<domain::DiskSource>> prepare_volumes(const api::Instance& instance, const Json& raw, const Paths& paths);

/// The one disk of a container image below `folder` ("VOLUME/disk"), or the file at `path` within the image.
Result<std::filesystem::path> find_container_disk(const std::filesystem::path& image_root, const std::string& path);

/// The volume's claim is the one that a migration moves its disk to (status.migratedVolumes of the instance).
bool moves_to(const Json& instance, const api::Volume& volume);

}  // namespace nodevirt::virt_launcher::storage
