// Phase 1 of a pod's network, privileged: bridge, tap and address translation in the pod's namespace.
#pragma once
#include <string>
#include <vector>

#include "api/proto/launcher.pb.h"
#include "api/vmi.hpp"
#include "pkg/base/async.hpp"

namespace nodevirt::virt_handler {

struct PodNetworkRequest {
  pid_t pid = 0;               ///< of the launcher, in our pid namespace
  unsigned launcher_uid = 107;
};

/// Prepares everything the instance's interfaces need and says what the launcher must know of it.
/// May be repeated at any time, also while the guest runs.
Awaitable<Result<std::vector<launcher::v1::InterfaceOptions>>> prepare_pod_network(
    PodNetworkRequest request, std::shared_ptr<const api::Instance> vmi);

/// Host name of the guest: spec.hostname, or the instance's name up to its first dot.
std::string guest_hostname(const api::Instance& vmi);

}  // namespace nodevirt::virt_handler
