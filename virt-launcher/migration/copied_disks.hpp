// Whether disks that are copied fit into what the target prepared for them.
#pragma once
#include "api/proto/launcher.pb.h"
#include "pkg/domain/destination.hpp"
#include "pkg/libvirt/domain.hpp"

namespace nodevirt::virt_launcher::migration {

/// Refuses a place that is smaller than the guest's disk; of a larger raw one only so much is used, so that the disk
/// keeps its size until the guest starts anew. `live`: the source's definition; `destination`: with the target's disks.
Result<void> fit_copies(const libvirt::Domain& domain, const std::string& live, const launcher::v1::PrepareTargetResponse& target,
                        domain::Destination& destination);

}  // namespace nodevirt::virt_launcher::migration
