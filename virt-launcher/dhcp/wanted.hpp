// What the instance itself asks its interfaces to be told: interfaces[].dhcpOptions.
#pragma once
#include "api/vmi.hpp"
#include "virt-launcher/dhcp/message.hpp"

namespace nodevirt::virt_launcher::dhcp {

/// Adds them to the lease; InvalidArgument names the option that cannot be told.
Result<void> add_wanted_options(const api::Interface& interface, Lease& lease);

}  // namespace nodevirt::virt_launcher::dhcp
