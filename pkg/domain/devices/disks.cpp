// Disks, cdroms, their controllers and threads.
#include "pkg/domain/configurator.hpp"

namespace nodevirt::domain {

namespace {

std::string bus_of(const api::Disk& d) {
  if (!d.bus.empty()) return d.bus;
  return d.kind == api::DiskKind::cdrom ? "sata" : "virtio";
}

// vda ... vdz, vdaa ...
std::string target_name(std::string_view prefix, unsigned index) {
  std::string letters;
  for (unsigned n = index + 1; n > 0; n = (n - 1) / 26) letters.insert(letters.begin(), char('a' + (n - 1) % 26));
  return std::string(prefix) + letters;
}

const DiskSource* disk_source(const Options& options, const std::string& volume) {
  for (auto& s : options.disks)
    if (s.volume == volume) return &s;
  return nullptr;
}

// The chain below the image is spelled out to its end, so that neither libvirt nor QEMU follows what a
// stranger's image header says.
void add_backing(Element& disk, const DiskSource& source) {
  if (!source.backing_path.empty()) {
    Element& below = disk.child("backingStore").attr("type", "file");
    below.child("format").attr("type", source.backing_format);
    below.child("source").attr("file", source.backing_path);
    below.child("backingStore");
  } else if (source.format != "raw") {
    disk.child("backingStore");
  }
}

void add_driver(Element& disk, const Context& c, const api::Disk& want, const DiskSource& source, bool readonly,
                const std::string& bus, std::size_t index) {
  Element& driver = disk.child("driver").attr("name", "qemu").attr("type", source.format);
  std::string cache = !want.cache.empty() ? want.cache : source.direct_io ? "none" : "";
  if (!cache.empty()) driver.attr("cache", cache);
  driver.attr("error_policy", want.error_policy.empty() ? "stop" : want.error_policy);
  if (!want.io.empty() && want.io != "default") driver.attr("io", want.io);
  if (!readonly) driver.attr("discard", "unmap");
  if (bus == "virtio") {
    if (unsigned thread = io_thread_of(c.spec(), index)) driver.attr("iothread", std::to_string(thread));
    if (c.spec().devices.block_multi_queue.value_or(false))
      driver.attr("queues", std::to_string(api::cpu_topology(c.spec()).vcpus()));
  }
}

Result<void> add_disk(Context& c, const api::Disk& want, std::size_t index, std::map<std::string, unsigned>& used) {
  const DiskSource* source = disk_source(c.options, want.name);
  if (!source)
    return Error(Code::FailedPrecondition, fmt::format("disk {}: there is no prepared volume of that name", want.name));
  std::string bus = bus_of(want);
  std::string prefix = bus == "virtio" ? "vd" : "sd";
  bool cdrom = want.kind == api::DiskKind::cdrom;
  bool readonly = want.readonly || source->readonly || cdrom;
  if (want.kind == api::DiskKind::lun && !source->block)
    return Error(Code::Unimplemented, "Invalid", fmt::format("disk {}: a lun needs a block device", want.name));

  Element& disk = c.devices.child("disk")
                      .attr("type", source->block ? "block" : "file")
                      .attr("device", cdrom ? "cdrom" : want.kind == api::DiskKind::lun ? "lun" : "disk")
                      .attr_if(bus == "virtio" && transitional(c.spec()), "model", kTransitional);
  add_driver(disk, c, want, *source, readonly, bus, index);
  disk.child("source").attr(source->block ? "dev" : "file", source->path);
  add_backing(disk, *source);
  disk.child("target")
      .attr("dev", target_name(prefix, used[prefix]++))
      .attr("bus", bus)
      .attr_if(cdrom && want.tray == "open", "tray", "open");
  if (want.logical_block_size || want.physical_block_size) {
    Element& block = disk.child("blockio");
    if (want.logical_block_size) block.attr("logical_block_size", std::to_string(want.logical_block_size));
    if (want.physical_block_size) block.attr("physical_block_size", std::to_string(want.physical_block_size));
  }
  if (readonly) disk.child("readonly");
  if (want.shareable.value_or(false)) disk.child("shareable");
  if (want.boot_order) disk.child("boot").attr("order", std::to_string(*want.boot_order));
  if (!want.serial.empty()) disk.child("serial").text(want.serial);
  disk.child("alias").attr("name", user_alias(want.name));
  if (!want.pci_address.empty() && bus != "virtio")
    return Error(Code::InvalidArgument, "Invalid", fmt::format("disk {}: only disks on the virtio bus have a PCI address", want.name));
  return add_pci_address(disk, want.pci_address, fmt::format("disk {}", want.name));
}

}  // namespace

unsigned io_thread_count(const api::DomainSpec& s) {
  unsigned dedicated = 0, shared = 0;
  for (auto& d : s.devices.disks) {
    if (bus_of(d) != "virtio") continue;
    if (d.dedicated_io_thread.value_or(false)) ++dedicated;
    else if (!s.io_threads_policy.empty()) ++shared;
  }
  unsigned limit = s.io_threads_policy == "auto" ? 2 * api::cpu_topology(s).vcpus() : 1;
  return dedicated + std::min(shared, limit);
}

unsigned io_thread_of(const api::DomainSpec& s, std::size_t index) {
  unsigned total = io_thread_count(s), dedicated = 0, shared = 0;
  for (auto& d : s.devices.disks)
    if (bus_of(d) == "virtio" && d.dedicated_io_thread.value_or(false)) ++dedicated;
  unsigned pool = total - dedicated, own = pool;
  for (std::size_t i = 0; i < s.devices.disks.size(); ++i) {
    const api::Disk& d = s.devices.disks[i];
    if (bus_of(d) != "virtio") continue;
    unsigned mine = 0;
    if (d.dedicated_io_thread.value_or(false)) mine = ++own;
    else if (pool) mine = shared++ % pool + 1;
    if (i == index) return mine;
  }
  return 0;
}

Result<void> configure_io_threads(Context& c) {
  if (unsigned n = io_thread_count(c.spec())) c.domain.child("iothreads").text(std::to_string(n));
  return {};
}

Result<void> configure_disks(Context& c) {
  std::map<std::string, unsigned> used;
  bool scsi = false;
  const auto& disks = c.spec().devices.disks;
  for (std::size_t i = 0; i < disks.size(); ++i) {
    NV_TRY_VOID(add_disk(c, disks[i], i, used));
    scsi = scsi || bus_of(disks[i]) == "scsi";
  }
  if (scsi) c.devices.child("controller").attr("type", "scsi").attr("index", "0").attr("model", transitional(c.spec()) ? kTransitional : "virtio-scsi");
  return {};
}

bool uses_usb(const api::DomainSpec& s) {
  for (auto& d : s.devices.disks)
    if (d.bus == "usb") return true;
  for (auto& i : s.devices.inputs)
    if (i.bus != "virtio") return true;
  return s.devices.autoattach_input.value_or(false) && s.devices.inputs.empty();
}

Result<void> configure_usb(Context& c) {
  c.devices.child("controller").attr("type", "usb").attr("index", "0").attr("model", uses_usb(c.spec()) ? "qemu-xhci" : "none");
  return {};
}

}  // namespace nodevirt::domain
