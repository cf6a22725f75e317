#include <set>

#include <fmt/format.h>

#include "virt-api/admission/rules.hpp"

namespace nodevirt::virt_api {

namespace {
constexpr std::string_view kDisks = "domain.devices.disks", kInterfaces = "domain.devices.interfaces";
}

void disk_names(const RuleInput& in, Causes& out) {
  std::set<std::string> seen;
  const auto& disks = in.spec.domain.devices.disks;
  for (std::size_t i = 0; i < disks.size(); ++i) {
    auto field = item(in, kDisks, i, "name");
    if (disks[i].name.empty()) {
      out.push_back({field, "a disk needs a name, that of its volume", Cause::Type::Required});
      continue;
    }
    if (!seen.insert(disks[i].name).second)
      out.push_back({field, fmt::format("another disk is called \"{}\" already; give each disk a name of its own", disks[i].name),
                     Cause::Type::Duplicate});
    bool has_volume = std::any_of(in.spec.volumes.begin(), in.spec.volumes.end(), [&](const auto& v) { return v.name == disks[i].name; });
    if (!has_volume)
      out.push_back({field, fmt::format("no volume is called \"{0}\"; add one to {1}.volumes, or name the disk after a volume", disks[i].name, in.path)});
  }
}

void disk_buses(const RuleInput& in, Causes& out) {
  const auto& disks = in.spec.domain.devices.disks;
  for (std::size_t i = 0; i < disks.size(); ++i) {
    const auto& d = disks[i];
    auto kind = d.kind == api::DiskKind::cdrom ? "cdrom" : d.kind == api::DiskKind::lun ? "lun" : "disk";
    auto field = item(in, kDisks, i, fmt::format("{}.bus", kind));
    if (!one_of(d.bus, {"", "virtio", "sata", "scsi", "usb"}))
      out.push_back({field, fmt::format("\"{}\" is no bus; supported are virtio, sata, scsi, usb", d.bus), Cause::Type::NotSupported});
    else if (d.kind == api::DiskKind::cdrom && d.bus == "virtio")
      out.push_back({field, "a cdrom cannot be on the virtio bus; use sata, scsi or usb"});
    if (!d.pci_address.empty() && !one_of(d.bus, {"", "virtio"}))
      out.push_back({item(in, kDisks, i, "disk.pciAddress"), "only disks on the virtio bus have a PCI address of their own"});
    if (d.dedicated_io_thread.value_or(false) && !one_of(d.bus, {"", "virtio"}))
      out.push_back({item(in, kDisks, i, "dedicatedIOThread"), "only disks on the virtio bus can have a thread of their own"});
  }
}

void disk_options(const RuleInput& in, Causes& out) {
  const auto& disks = in.spec.domain.devices.disks;
  for (std::size_t i = 0; i < disks.size(); ++i) {
    const auto& d = disks[i];
    auto check = [&](const std::string& value, std::string_view member, std::initializer_list<std::string_view> allowed) {
      if (value.empty() || one_of(value, allowed)) return;
      out.push_back({item(in, kDisks, i, member), fmt::format("\"{}\" is not known; supported are {}", value, fmt::join(allowed, ", ")),
                     Cause::Type::NotSupported});
    };
    check(d.cache, "cache", {"none", "writethrough", "writeback"});
    check(d.io, "io", {"native", "threads", "default"});
    check(d.error_policy, "errorPolicy", {"stop", "ignore", "report", "enospace"});
    check(d.tray, "cdrom.tray", {"open", "closed"});
    if (d.io == "native" && !one_of(d.cache, {"", "none"}))
      out.push_back({item(in, kDisks, i, "io"), "native needs cache none; set cache to none or io to threads"});
    if (d.shareable.value_or(false) && !one_of(d.cache, {"", "none"}))
      out.push_back({item(in, kDisks, i, "cache"), "a shareable disk must not be cached; set cache to none"});
    auto power_of_two = [](std::uint32_t n) { return n >= 512 && n <= 2097152 && (n & (n - 1)) == 0; };
    if (d.logical_block_size && !power_of_two(d.logical_block_size))
      out.push_back({item(in, kDisks, i, "blockSize.custom.logical"), "must be a power of two from 512 to 2097152"});
    if (d.physical_block_size && (!power_of_two(d.physical_block_size) || d.physical_block_size < d.logical_block_size))
      out.push_back({item(in, kDisks, i, "blockSize.custom.physical"), "must be a power of two from 512 to 2097152, and not smaller than logical"});
  }
}

void disk_serials(const RuleInput& in, Causes& out) {
  const auto& disks = in.spec.domain.devices.disks;
  for (std::size_t i = 0; i < disks.size(); ++i) {
    const auto& serial = disks[i].serial;
    bool plain = serial.find_first_not_of("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.+-") == std::string::npos;
    if (serial.size() > 256 || !plain)
      out.push_back({item(in, kDisks, i, "serial"), "must be made of letters, digits and _ . + -, at most 256"});
  }
}

void boot_orders(const RuleInput& in, Causes& out) {
  std::set<std::uint32_t> seen;
  auto check = [&](const std::optional<std::uint32_t>& order, const std::string& field) {
    if (!order) return;
    if (*order == 0) out.push_back({field, "must be 1 or more; leave it out when the order does not matter"});
    else if (!seen.insert(*order).second)
      out.push_back({field, fmt::format("another device has boot order {} already; each needs a number of its own", *order), Cause::Type::Duplicate});
  };
  const auto& d = in.spec.domain.devices;
  for (std::size_t i = 0; i < d.disks.size(); ++i) check(d.disks[i].boot_order, item(in, kDisks, i, "bootOrder"));
  for (std::size_t i = 0; i < d.interfaces.size(); ++i) check(d.interfaces[i].boot_order, item(in, kInterfaces, i, "bootOrder"));
}

void interfaces(const RuleInput& in, Causes& out) {
  std::set<std::string> seen;
  const auto& list = in.spec.domain.devices.interfaces;
  for (std::size_t i = 0; i < list.size(); ++i) {
    const auto& want = list[i];
    auto field = item(in, kInterfaces, i, "name");
    if (want.name.empty()) {
      out.push_back({field, "an interface needs a name, that of its network", Cause::Type::Required});
      continue;
    }
    if (!seen.insert(want.name).second)
      out.push_back({field, fmt::format("another interface is called \"{}\" already; each needs a network of its own", want.name),
                     Cause::Type::Duplicate});
    auto network = std::find_if(in.spec.networks.begin(), in.spec.networks.end(), [&](const auto& n) { return n.name == want.name; });
    if (network == in.spec.networks.end())
      out.push_back({field, fmt::format("no network is called \"{0}\"; add {{name: {0}, pod: {{}}}} to {1}.networks", want.name, in.path)});
    else if (want.binding == "masquerade" && !network->pod)
      out.push_back({item(in, kInterfaces, i, "masquerade"), "masquerade works on the pod network only"});
    if (want.binding.empty())
      out.push_back({item(in, kInterfaces, i), "an interface needs a binding; supported is masquerade: {}", Cause::Type::Required});
  }
}

void interface_models(const RuleInput& in, Causes& out) {
  const auto& list = in.spec.domain.devices.interfaces;
  for (std::size_t i = 0; i < list.size(); ++i) {
    if (!one_of(list[i].model, {"", "virtio", "e1000", "e1000e", "ne2k_pci", "pcnet", "rtl8139"}))
      out.push_back({item(in, kInterfaces, i, "model"),
                     fmt::format("\"{}\" is not known; supported are virtio, e1000, e1000e, ne2k_pci, pcnet, rtl8139", list[i].model), Cause::Type::NotSupported});
    if (!one_of(list[i].state, {"", "up", "down"}))
      out.push_back({item(in, kInterfaces, i, "state"), "must be up or down", Cause::Type::NotSupported});
  }
}

void mac_addresses(const RuleInput& in, Causes& out) {
  const auto& list = in.spec.domain.devices.interfaces;
  std::set<std::string> seen;
  for (std::size_t i = 0; i < list.size(); ++i) {
    auto mac = list[i].mac;
    if (mac.empty()) continue;
    bool sound = mac.size() == 17;
    for (std::size_t k = 0; sound && k < mac.size(); ++k) {
      if (k % 3 == 2) sound = mac[k] == ':' || mac[k] == '-';
      else sound = std::isxdigit(static_cast<unsigned char>(mac[k]));
      mac[k] = static_cast<char>(std::tolower(static_cast<unsigned char>(mac[k])));
    }
    auto field = item(in, kInterfaces, i, "macAddress");
    if (!sound) out.push_back({field, "must be six bytes in hexadecimal, like 02:00:00:12:34:56"});
    else if (std::stoi(mac.substr(0, 2), nullptr, 16) & 1) out.push_back({field, "is a multicast address; the first byte must be even"});
    else if (!seen.insert(mac).second) out.push_back({field, "another interface has the same address", Cause::Type::Duplicate});
  }
}

void ports(const RuleInput& in, Causes& out) {
  const auto& list = in.spec.domain.devices.interfaces;
  for (std::size_t i = 0; i < list.size(); ++i) {
    std::set<std::string> names_seen;
    std::set<std::pair<std::string, int>> seen;
    for (std::size_t k = 0; k < list[i].ports.size(); ++k) {
      const auto& p = list[i].ports[k];
      auto field = item(in, kInterfaces, i, fmt::format("ports[{}]", k));
      auto protocol = p.protocol.empty() ? std::string("TCP") : p.protocol;
      if (p.port < 1 || p.port > 65535) out.push_back({field + ".port", "must be a number from 1 to 65535"});
      if (!one_of(protocol, {"TCP", "UDP"}))
        out.push_back({field + ".protocol", "must be TCP or UDP", Cause::Type::NotSupported});
      if (!seen.insert({protocol, p.port}).second) out.push_back({field, "the same port is given twice", Cause::Type::Duplicate});
      if (p.name.empty()) continue;
      if (p.name.size() > 15 || !is_dns_label(p.name))
        out.push_back({field + ".name", "must be at most 15 lower-case letters, digits and -"});
      if (!names_seen.insert(p.name).second) out.push_back({field + ".name", "another port has the same name", Cause::Type::Duplicate});
    }
  }
}

void networks(const RuleInput& in, Causes& out) {
  std::set<std::string> seen;
  int pod = 0;
  for (std::size_t i = 0; i < in.spec.networks.size(); ++i) {
    const auto& n = in.spec.networks[i];
    auto field = item(in, "networks", i, "name");
    if (!is_dns_label(n.name)) out.push_back({field, "must be at most 63 lower-case letters, digits and -"});
    if (!seen.insert(n.name).second)
      out.push_back({field, fmt::format("another network is called \"{}\" already", n.name), Cause::Type::Duplicate});
    if (!n.pod && n.multus_name.empty() && !n.resource_claim)
      out.push_back({item(in, "networks", i), "a network needs a source; supported is pod: {}", Cause::Type::Required});
    if (n.pod && ++pod == 2) out.push_back({item(in, "networks", i, "pod"), "there is only one pod network; remove the second", Cause::Type::Duplicate});
    bool used = std::any_of(in.spec.domain.devices.interfaces.begin(), in.spec.domain.devices.interfaces.end(),
                            [&](const auto& f) { return f.name == n.name; });
    if (!used && !n.name.empty())
      out.push_back({field, fmt::format("no interface uses the network \"{0}\"; add {{name: {0}, masquerade: {{}}}} to {1}.{2}, or remove it",
                                        n.name, in.path, kInterfaces)});
  }
}

void inputs(const RuleInput& in, Causes& out) {
  const auto& list = in.spec.domain.devices.inputs;
  for (std::size_t i = 0; i < list.size(); ++i) {
    if (!one_of(list[i].type, {"tablet", "keyboard"}))
      out.push_back({item(in, "domain.devices.inputs", i, "type"), "must be tablet or keyboard", Cause::Type::NotSupported});
    if (!one_of(list[i].bus, {"", "usb", "virtio"}))
      out.push_back({item(in, "domain.devices.inputs", i, "bus"), "must be usb or virtio", Cause::Type::NotSupported});
  }
}

void watchdog(const RuleInput& in, Causes& out) {
  const auto& w = in.spec.domain.devices.watchdog;
  if (!w) return;
  auto field = in.path + ".domain.devices.watchdog";
  if (w->name.empty()) out.push_back({field + ".name", "a watchdog needs a name", Cause::Type::Required});
  if (w->model.empty()) out.push_back({field, "a watchdog needs a model; supported is i6300esb: {}", Cause::Type::Required});
  if (!one_of(w->action, {"", "poweroff", "reset", "shutdown"}))
    out.push_back({field + ".i6300esb.action", "must be poweroff, reset or shutdown", Cause::Type::NotSupported});
}

}  // namespace nodevirt::virt_api
