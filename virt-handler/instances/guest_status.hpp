// The members of an instance's status that describe the running guest.
#pragma once
#include "virt-handler/instances/status.hpp"

namespace nodevirt::virt_handler {

/// interfaces, volumeStatus, machine, memory, currentCPUTopology, guestOSInfo, migration method and transport.
void fill_guest_status(Json& status, const StatusInput& in);

}  // namespace nodevirt::virt_handler
