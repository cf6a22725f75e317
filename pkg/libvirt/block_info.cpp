#include "pkg/libvirt/block_info.hpp"

#include <libvirt/libvirt.h>

#include "pkg/libvirt/error.hpp"

namespace nodevirt::libvirt {

Result<std::uint64_t> disk_capacity(const Domain& domain, const std::string& target) {
  virDomainBlockInfo info{};
  if (virDomainGetBlockInfo(domain.get(), target.c_str(), &info, 0) < 0) return last_error("read the size of disk " + target + " of domain " + domain.name());
  return static_cast<std::uint64_t>(info.capacity);
}

}  // namespace nodevirt::libvirt
