// Sizes of a domain's disks.
#pragma once
#include <string>

#include "pkg/libvirt/domain.hpp"

namespace nodevirt::libvirt {

/// Bytes of the disk as the guest sees it; `target`: vda, sdb ...
Result<std::uint64_t> disk_capacity(const Domain& domain, const std::string& target);

}  // namespace nodevirt::libvirt
