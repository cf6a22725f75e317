// What to do about one claim or one volume. Pure: from the objects to the writes.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "pkg/base/json.hpp"
#include "pkg/base/result.hpp"

namespace nodevirt::volumes {

/// One write that brings the world closer; they are done in order, and each can be repeated.
struct Write {
  enum class Kind { CreateVolume, PatchVolume, PatchVolumeStatus, DeleteVolume, PatchClaim, PatchClaimStatus } kind;
  std::string ns, name;
  Json body;                       ///< object, or merge patch with metadata.resourceVersion as precondition
};
struct Notice {
  std::string type, reason, message;   ///< an event about the claim (or, for a volume's plan, the volume)
};
struct Plan {
  std::vector<Write> writes;
  std::vector<Notice> notices;
};

struct ClaimView {
  const Json& claim;
  const Json* storage_class;              ///< of spec.storageClassName; null when there is none
  std::vector<const Json*> volumes;       ///< all PersistentVolumes
  std::vector<const Json*> pods;          ///< of the claim's namespace that name it
  std::string volumes_dir;                ///< DATA_DIR/volumes
  std::string default_class;              ///< name of the default StorageClass; may be empty
};

/// Binding (also to volumes made by hand), provisioning, expansion, finalizers, protection.
Plan plan_claim(const ClaimView& view);

/// A volume whose claim is gone: Released, then deleted or kept as its reclaim policy says. `claim` is what
/// spec.claimRef names, or null.
Plan plan_volume(const Json& volume, const Json* claim);

/// "pvc-UID": the volume of a claim has one name for good, so that provisioning twice makes one.
std::string volume_name(const Json& claim);
/// The PersistentVolume for a claim of one of our classes. `node` is empty for class shared.
Json provisioned_volume(const Json& claim, const Json& storage_class, const std::string& volumes_dir, const std::string& node);
/// Why a claim cannot be provisioned, or nothing.
std::optional<std::string> cannot_provision(const Json& claim, const Json& storage_class);
/// Whether `volume` is free (or pre-bound to this claim) and satisfies it.
bool volume_fits(const Json& volume, const Json& claim);

/// The two StorageClasses, as they are created when they are missing.
std::vector<Json> storage_classes();

}  // namespace nodevirt::volumes
