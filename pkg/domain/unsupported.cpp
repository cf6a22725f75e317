// What cannot be built is refused by name. Admission says the same earlier; this is the last line.
#include "pkg/domain/configurator.hpp"

namespace nodevirt::domain {

Result<void> refuse_unsupported(Context& c) {
  const auto& s = c.spec();
  const auto& d = s.devices;
  struct Rule { bool asked; const char* field; };
  const Rule rules[] = {
      {s.launch_security, "launchSecurity"},
      {s.memory && s.memory->hugepages, "memory.hugepages"},
      {s.cpu && s.cpu->numa, "cpu.numa"},
      {s.cpu && s.cpu->realtime, "cpu.realtime"},
      {s.cpu && s.cpu->dedicated_placement, "cpu.dedicatedCpuPlacement"},
      {s.firmware && s.firmware->kernel_boot, "firmware.kernelBoot"},
      {s.firmware && s.firmware->acpi_tables, "firmware.acpi"},
      {d.tpm, "devices.tpm"},
      {!d.gpus.empty(), "devices.gpus"},
      {!d.host_devices.empty(), "devices.hostDevices"},
      {!d.filesystems.empty(), "devices.filesystems"},
      {d.downward_metrics, "devices.downwardMetrics"},
      {d.client_passthrough, "devices.clientPassthrough"},
      {d.autoattach_vsock.value_or(false), "devices.autoattachVSOCK"},
      {d.network_multi_queue.value_or(false), "devices.networkInterfaceMultiqueue"},
  };
  for (auto& r : rules)
    if (r.asked)
      return Error(Code::Unimplemented, "Invalid", fmt::format("spec.domain.{} is not supported", r.field));
  for (auto& disk : d.disks) {
    if (disk.match_volume_block_size)
      return Error(Code::Unimplemented, "Invalid", fmt::format("disk {}: blockSize.matchVolume is not supported; set blockSize.custom", disk.name));
    if (disk.lun_reservation)
      return Error(Code::Unimplemented, "Invalid", fmt::format("disk {}: lun.reservation is not supported", disk.name));
  }
  if (s.firmware && s.firmware->efi && s.firmware->efi_persistent.value_or(false))
    return Error(Code::Unimplemented, "Invalid", "spec.domain.firmware.bootloader.efi.persistent is not supported");
  return {};
}

}  // namespace nodevirt::domain
