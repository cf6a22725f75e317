// What tells our volumes from others, between the controller (which has no privileges) and the pod runner
// (which makes and removes the files).
#pragma once
#include <string_view>

#include "pkg/base/json.hpp"

namespace nodevirt::volumes {

inline constexpr std::string_view kProvisioner = "nodevirt.io/local-volume";
inline constexpr std::string_view kProvisionedByAnnotation = "pv.kubernetes.io/provisioned-by";
inline constexpr std::string_view kSelectedNodeAnnotation = "volume.kubernetes.io/selected-node";
/// On our volumes: held until the pod runner has removed the file.
inline constexpr std::string_view kFileFinalizer = "nodevirt.io/volume-file";
inline constexpr std::string_view kPvProtection = "kubernetes.io/pv-protection";
inline constexpr std::string_view kPvcProtection = "kubernetes.io/pvc-protection";
inline constexpr std::string_view kLocalClass = "local";
inline constexpr std::string_view kSharedClass = "shared";

/// A PersistentVolume that this provisioner made.
inline bool is_ours(const Json& volume) {
  const Json* annotations = find(volume, {"metadata", "annotations"});
  if (!annotations || !annotations->is_object()) return false;
  const auto it = annotations->find(kProvisionedByAnnotation);
  return it != annotations->end() && it->is_string() && it->get<std::string>() == kProvisioner;
}

}  // namespace nodevirt::volumes
