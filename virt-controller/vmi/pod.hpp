// The launcher pod of an instance. Pure; golden-tested.
#pragma once
#include <set>
#include <string>

#include "api/vmi.hpp"

namespace nodevirt::virt_controller::vmi {

struct PodOptions {
  std::string launcher_image;
  unsigned launcher_uid = 107;
  std::string capability_cache_dir;      ///< on the node
  std::set<std::string> block_claims;    ///< claims with volumeMode Block
};

/// Seconds that a pod gets beyond its guest's own grace period.
inline constexpr std::int64_t kGracePad = 15;
inline constexpr std::int64_t kDefaultGrace = 30;

/// `object` is the instance as stored (labels, owner), `vmi` its decoded view. InvalidArgument when a volume
/// cannot be offered to a pod.
Result<Json> render_pod(const Json& object, const api::Instance& vmi, const PodOptions& options);

/// virt-launcher-NAME-XXXXX, the suffix from the instance's uid: the same instance always has the same
/// pod, so that making it twice makes one.
std::string pod_name(const std::string& instance_name, const std::string& instance_uid);

/// `name` where a label's value has room for it, else its beginning and a hash.
std::string label_value(const std::string& name);

}  // namespace nodevirt::virt_controller::vmi
