// How fast the guest dirties its memory.
#pragma once
#include "virt-launcher/migration/side.hpp"

namespace nodevirt::virt_launcher::migration {

/// By page sampling over `period_ms` (rounded up to seconds, 1 to 60; 0 is 1 s); blocks as long. The other modes of QEMU
/// are never used: with the bitmap one QEMU 7.2 crashes without KVM.
Result<v1::DirtyRate> measure_dirty_rate(Monitor& monitor, unsigned period_ms);

}  // namespace nodevirt::virt_launcher::migration
