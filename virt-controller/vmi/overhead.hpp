// What an instance costs beyond its guest's memory.
#pragma once
#include <cstdint>

#include "api/vmi.hpp"

namespace nodevirt::virt_controller::vmi {

/// Bytes that the launcher pod needs beside the guest's memory:
///   48 MiB  monitor, virt-launcher and the session libvirt daemon (10 to 25 MiB each by PSS when measured)
/// + 50 MiB  QEMU itself without guest memory (32 MiB measured idle, with room for device buffers)
/// +  8 MiB  per vCPU (thread stacks, translation caches of emulated processors not counted)
/// + guest memory / 512 (page tables)
/// + 16 MiB  when a graphics device is attached
std::int64_t memory_overhead(const api::DomainSpec& domain);

}  // namespace nodevirt::virt_controller::vmi
