// The instance's volumes, made ready for QEMU.
#pragma once
#include <future>
#include <vector>

#include "api/vmi.hpp"
#include "pkg/domain/domain.hpp"
#include "virt-launcher/options.hpp"

namespace nodevirt::virt_launcher::storage {

/// The images of an instance: found, or being made. Its destructor waits until they are.
struct PreparedVolumes {
  std::vector<domain::DiskSource> disks;     ///< what the definition of the domain needs; QEMU needs the files too
  std::vector<std::pair<std::string, std::future<Result<void>>>> making;  ///< by the volume's name

  /// Waits until every image is there.
  Result<void> finish();
};

/// Finds the image of every volume that a disk uses, or begins to make it, side by side. Repeating it keeps the
/// guest's data. An Error, also of finish(), names the volume, what is wrong with it and, where known, what to do. `raw` is
/// the instance as JSON.
Result<PreparedVolumes> prepare_volumes(const api::Instance& instance, const Json& raw, const Paths& paths);

/// The one disk of a container image below `folder` ("VOLUME/disk"), or the file at `path` within the image.
Result<std::filesystem::path> find_container_disk(const std::filesystem::path& image_root, const std::string& path);

/// The volume's claim is the one that a migration moves its disk to (status.migratedVolumes of the instance).
bool moves_to(const Json& instance, const api::Volume& volume);

}  // namespace nodevirt::virt_launcher::storage
