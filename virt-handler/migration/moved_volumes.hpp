// What a status says of claims once the guest has arrived with its disks at the new ones (status.migratedVolumes). Pure.
#pragma once
#include "pkg/base/json.hpp"

namespace nodevirt::virt_handler::migration {

bool has_moved_volumes(const Json& vmi);
/// status.volumeStatus, with the new claims' facts.
Json volume_status_after_move(const Json& vmi);
/// status.conditions without VolumesChange.
Json conditions_after_move(const Json& vmi);

}  // namespace nodevirt::virt_handler::migration
