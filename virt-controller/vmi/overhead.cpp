#include "virt-controller/vmi/overhead.hpp"

namespace nodevirt::virt_controller::vmi {

std::int64_t memory_overhead(const api::DomainSpec& domain) {
  constexpr std::int64_t kMiB = 1 << 20;
  std::int64_t bytes = (48 + 50) * kMiB;
  bytes += 8 * kMiB * static_cast<std::int64_t>(api::cpu_topology(domain).vcpus());
  bytes += api::guest_memory_bytes(domain) / 512;
  if (domain.devices.autoattach_graphics.value_or(true)) bytes += 16 * kMiB;
  return bytes;
}

}  // namespace nodevirt::virt_controller::vmi
