// spec.domain.devices and spec.networks of an instance.
#pragma once
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "pkg/base/json.hpp"

namespace nodevirt::api {

enum class DiskKind { disk, cdrom, lun };

struct Disk {
  std::string name;          ///< also the name of its volume
  DiskKind kind = DiskKind::disk;
  std::string bus;           ///< virtio | sata | scsi | usb; empty: the kind's default
  bool readonly = false;     ///< as asked; a cdrom without `readonly` is read-only
  std::string tray;          ///< cdrom: open | closed
  std::string pci_address;
  std::optional<std::uint32_t> boot_order;
  std::string serial;
  std::string cache;         ///< none | writethrough | writeback
  std::string io;            ///< native | threads
  std::string error_policy;  ///< stop | ignore | report | enospace
  std::optional<bool> shareable, dedicated_io_thread;
  std::uint32_t logical_block_size = 0, physical_block_size = 0;
  bool match_volume_block_size = false;
  bool lun_reservation = false;
};

struct Port {
  std::string name, protocol;  ///< TCP when empty
  int port = 0;
};

struct Interface {
  std::string name;
  std::string binding;      ///< masquerade | bridge | sriov | passtBinding | slirp | macvtap | passt | plugin:NAME; empty when none is given
  std::string model;        ///< virtio when empty
  std::string mac, pci_address, state, tag;
  std::optional<std::uint32_t> boot_order;
  std::vector<Port> ports;
  bool port_ranges = false;
  std::uint32_t acpi_index = 0;
  Json dhcp_options;        ///< null when absent
};

struct Network {
  std::string name;
  bool pod = false;
  std::string vm_network_cidr;
  std::string multus_name;
  bool resource_claim = false;
};

struct Input {
  std::string name, type, bus;  ///< type tablet | keyboard; bus usb | virtio, empty: usb
};

struct Watchdog {
  std::string name;
  std::string model;   ///< i6300esb | diag288
  std::string action;  ///< poweroff | reset | shutdown; empty: reset
};

struct Devices {
  std::vector<Disk> disks;
  std::vector<Interface> interfaces;
  std::vector<Input> inputs;
  std::optional<Watchdog> watchdog;
  bool rng = false;
  std::optional<bool> autoattach_pod_interface, autoattach_graphics, autoattach_serial_console,
      autoattach_mem_balloon, autoattach_input, autoattach_vsock, log_serial_console;
  std::optional<bool> block_multi_queue, network_multi_queue, use_virtio_transitional;
  bool disable_hotplug = false;
  std::string video_type;
  std::string sound_name, sound_model;  ///< sound_name is empty without a sound device
  bool tpm = false;
  std::optional<bool> tpm_persistent;
  std::vector<std::string> panic_devices;  ///< their models
  std::vector<std::string> filesystems, gpus, host_devices;  ///< their names; not decoded further
  bool downward_metrics = false, client_passthrough = false;
};

}  // namespace nodevirt::api
