// The bandwidth limit, where libvirt does not keep it: each copied disk would get the whole of it.
#pragma once
#include "virt-launcher/migration/side.hpp"

namespace nodevirt::virt_launcher::migration {

/// Divides the limit (0: none) among the disks that are being copied. False while there are fewer than `disks`.
Result<bool> share_among_disks(Monitor& monitor, std::uint64_t mib_per_second, std::size_t disks);

}  // namespace nodevirt::virt_launcher::migration
