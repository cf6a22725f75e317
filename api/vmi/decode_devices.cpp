// spec.domain.devices and spec.networks.
#include "api/vmi/decode.hpp"

namespace nodevirt::api {

namespace {

Disk decode_disk(const FieldReader& r) {
  Disk d;
  d.name = r.text("name");
  if (r.has("cdrom")) d.kind = DiskKind::cdrom;
  else if (r.has("lun")) d.kind = DiskKind::lun;
  FieldReader target = r.at(d.kind == DiskKind::cdrom ? "cdrom" : d.kind == DiskKind::lun ? "lun" : "disk");
  d.bus = target.text("bus");
  d.readonly = target.flag("readonly", d.kind == DiskKind::cdrom);
  d.tray = target.text("tray");
  d.pci_address = target.text("pciAddress");
  d.lun_reservation = target.flag("reservation");
  d.boot_order = r.opt_u32("bootOrder");
  d.serial = r.text("serial");
  d.cache = r.text("cache");
  d.io = r.text("io");
  d.error_policy = r.text("errorPolicy");
  d.shareable = r.opt_flag("shareable");
  d.dedicated_io_thread = r.opt_flag("dedicatedIOThread");
  FieldReader block = r.at("blockSize");
  d.logical_block_size = block.at("custom").u32("logical");
  d.physical_block_size = block.at("custom").u32("physical");
  if (block.has("matchVolume")) d.match_volume_block_size = block.at("matchVolume").flag("enabled", true);
  return d;
}

Interface decode_interface(const FieldReader& r) {
  Interface i;
  i.name = r.text("name");
  for (const char* binding : {"masquerade", "bridge", "sriov", "passtBinding", "slirp", "macvtap", "passt"})
    if (r.has(binding)) i.binding = binding;
  if (r.has("binding")) i.binding = "plugin:" + r.at("binding").text("name");
  i.model = r.text("model");
  i.mac = r.text("macAddress");
  i.pci_address = r.text("pciAddress");
  i.state = r.text("state");
  i.tag = r.text("tag");
  i.boot_order = r.opt_u32("bootOrder");
  r.each("ports", [&](const FieldReader& p) {
    i.ports.push_back({p.text("name"), p.text("protocol"), static_cast<int>(p.integer("port", 0, 65535))});
  });
  i.port_ranges = r.has("portRanges");
  i.acpi_index = r.u32("acpiIndex");
  i.dhcp_options = r.raw("dhcpOptions");
  return i;
}

std::vector<std::string> names(const FieldReader& r, std::string_view key) {
  std::vector<std::string> out;
  r.each(key, [&](const FieldReader& item) { out.push_back(item.text("name")); });
  return out;
}

}  // namespace

Devices decode_devices(const FieldReader& r) {
  Devices d;
  r.each("disks", [&](const FieldReader& x) { d.disks.push_back(decode_disk(x)); });
  r.each("interfaces", [&](const FieldReader& x) { d.interfaces.push_back(decode_interface(x)); });
  r.each("inputs", [&](const FieldReader& x) { d.inputs.push_back({x.text("name"), x.text("type"), x.text("bus")}); });
  if (r.has("watchdog")) {
    FieldReader w = r.at("watchdog");
    Watchdog dog{w.text("name"), "", ""};
    for (const char* model : {"i6300esb", "diag288"})
      if (w.has(model)) {
        dog.model = model;
        dog.action = w.at(model).text("action");
      }
    d.watchdog = dog;
  }
  d.rng = r.has("rng");
  d.autoattach_pod_interface = r.opt_flag("autoattachPodInterface");
  d.autoattach_graphics = r.opt_flag("autoattachGraphicsDevice");
  d.autoattach_serial_console = r.opt_flag("autoattachSerialConsole");
  d.autoattach_mem_balloon = r.opt_flag("autoattachMemBalloon");
  d.autoattach_input = r.opt_flag("autoattachInputDevice");
  d.autoattach_vsock = r.opt_flag("autoattachVSOCK");
  d.log_serial_console = r.opt_flag("logSerialConsole");
  d.block_multi_queue = r.opt_flag("blockMultiQueue");
  d.network_multi_queue = r.opt_flag("networkInterfaceMultiqueue");
  d.use_virtio_transitional = r.opt_flag("useVirtioTransitional");
  d.disable_hotplug = r.flag("disableHotplug");
  d.video_type = r.at("video").text("type");
  d.sound_name = r.at("sound").text("name");
  d.sound_model = r.at("sound").text("model");
  d.tpm = r.has("tpm") && r.at("tpm").flag("enabled", true);
  d.tpm_persistent = r.at("tpm").opt_flag("persistent");
  r.each("panicDevices", [&](const FieldReader& p) { d.panic_devices.push_back(p.text("model")); });
  d.filesystems = names(r, "filesystems");
  d.gpus = names(r, "gpus");
  d.host_devices = names(r, "hostDevices");
  d.downward_metrics = r.has("downwardMetrics");
  d.client_passthrough = r.has("clientPassthrough");
  return d;
}

Network decode_network(const FieldReader& r) {
  Network n;
  n.name = r.text("name");
  n.pod = r.has("pod");
  n.vm_network_cidr = r.at("pod").text("vmNetworkCIDR");
  n.multus_name = r.at("multus").text("networkName");
  n.resource_claim = r.has("resourceClaim");
  return n;
}

}  // namespace nodevirt::api
