// The volumes of a pod, made on the node: where each mount's source lies.
#pragma once
#include <map>
#include <string>

#include "standalone/podrunner/environment.hpp"
#include "standalone/podrunner/pod_directory.hpp"

namespace nodevirt::podrunner {

struct Mounted {
  std::string source;
  bool read_only = false;
  bool device = false;                            ///< a device node of the pod's own, for volumeDevices
};
using MountedVolumes = std::map<std::string, Mounted>;

struct VolumeContext {
  const Options& options;
  const PodPaths& paths;
  const PodView& pod;
  const Objects& objects;                         ///< Secrets and ConfigMaps that were found
  std::map<std::string, Json> claims;             ///< claim name -> its PersistentVolume
  std::map<std::string, images::Image> images;    ///< volume name -> image
  Place place;
  unsigned uid, gid;
};

/// Every volume that a container mounts. Repeatable. Blocking. Errors carry FailedMount.
Result<MountedVolumes> set_up_volumes(const VolumeContext& context);
/// Undoes every mount below the pod's folder. Blocking.
Result<void> unmount_below(const std::filesystem::path& root);

/// The file of a claim's volume that we provisioned: made when it is missing, exactly as large as the volume
/// says (grown when the volume was expanded, never shrunk), owned by `uid`. Blocking.
Result<void> materialise_volume(const Json& volume, const std::filesystem::path& volumes_dir, unsigned uid, unsigned gid);

/// emptyDirs with a sizeLimit that hold more than it: {volume name, bytes}. Blocking.
struct Overuse {
  std::string volume;
  std::uint64_t used = 0, limit = 0;
};
std::vector<Overuse> overused_empty_dirs(const PodPaths& paths, const PodView& pod);

}  // namespace nodevirt::podrunner
