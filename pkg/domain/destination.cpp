#include "pkg/domain/destination.hpp"

#include "pkg/domain/configurator.hpp"

namespace nodevirt::domain {

namespace {

std::string alias_of(const Element& device) {
  const Element* alias = device.find("alias");
  return alias ? alias->get("name") : std::string();
}

void point_at(Element& source, const DiskSource& want) {
  Element fresh("source");
  fresh.attr(want.block ? "dev" : "file", want.path);
  if (want.slice) {
    fresh.child("slices").child("slice").attr("type", "storage").attr("offset", "0").attr("size", std::to_string(want.slice));
  } else if (const Element* slices = source.find("slices"); slices && want.backing_path.empty()) {
    fresh.child("slices") = *slices;  // the guest's disk keeps its size until it starts anew
  }
  // What libvirt knows beside the path (an index, a reservation) belongs to the source's QEMU.
  source = std::move(fresh);
}

void move_disk(Element& disk, const DiskSource& want) {
  disk.set("type", want.block ? "block" : "file");
  if (Element* driver = disk.find("driver")) driver->set("type", want.format);
  if (Element* source = disk.find("source")) point_at(*source, want);
  Element chain("backingStore");
  if (!want.backing_path.empty()) {
    chain.attr("type", "file");
    chain.child("format").attr("type", want.backing_format);
    chain.child("source").attr("file", want.backing_path);
    chain.child("backingStore");
  }
  if (Element* below = disk.find("backingStore")) *below = std::move(chain);
}

// libvirt has no word for it, and the target's QEMU must know before the first byte comes. What an earlier migration
// said is taken back.
void set_compression(Element& root, const std::string& method) {
  constexpr std::string_view kSetting = "migration.multifd-compression=";
  Element* line = root.find("qemu:commandline");
  if (!line) return;
  auto& args = line->children();
  for (auto it = args.begin(); it != args.end(); ++it)
    if (auto next = std::next(it); it->get("value") == "-global" && next != args.end() && next->get("value").starts_with(kSetting)) {
      args.erase(it, std::next(next));
      break;
    }
  if (method.empty()) return;
  line->child("qemu:arg").attr("value", "-global");
  line->child("qemu:arg").attr("value", std::string(kSetting) + method);
}

}  // namespace

Result<std::string> destination_xml(const std::string& live_xml, const Destination& d) {
  NV_TRY(Element root, parse_xml(live_xml));
  Element* devices = root.find("devices");
  if (!devices) return Error(Code::InvalidArgument, "the domain's definition has no devices");
  for (Element& device : devices->children()) {
    std::string alias = alias_of(device);
    if (device.name() == "disk")
      for (auto& want : d.disks)
        if (alias == user_alias(want.volume)) move_disk(device, want);
    if (device.name() == "interface")
      for (auto& [name, tap] : d.taps)
        if (Element* target = device.find("target"); target && alias == user_alias(name)) target->set("dev", tap);
  }
  if (d.source_socket_dir != d.socket_dir && !d.source_socket_dir.empty()) {
    std::string old_chardev = monitor_chardev(d.source_socket_dir), prefix = d.source_socket_dir + "/";
    root.each_value([&](std::string& value) {
      if (value == old_chardev) value = monitor_chardev(d.socket_dir);
      else if (value.starts_with(prefix)) value = d.socket_dir + "/" + value.substr(prefix.size());
    });
  }
  set_compression(root, d.compression);
  return root.to_string();
}

Result<std::map<std::string, std::string>> disk_targets(const std::string& xml) {
  NV_TRY(Element root, parse_xml(xml));
  std::map<std::string, std::string> out;
  if (const Element* devices = root.find("devices"))
    for (const Element& device : devices->children()) {
      std::string alias = alias_of(device);
      const Element* target = device.find("target");
      if (device.name() == "disk" && target && alias.starts_with("ua-")) out[alias.substr(3)] = target->get("dev");
    }
  return out;
}

Result<std::map<std::string, std::string>> disk_backing(const std::string& xml) {
  NV_TRY(Element root, parse_xml(xml));
  std::map<std::string, std::string> out;
  if (const Element* devices = root.find("devices"))
    for (const Element& device : devices->children()) {
      std::string alias = alias_of(device);
      const Element* below = device.find("backingStore");
      const Element* source = below ? below->find("source") : nullptr;
      if (device.name() == "disk" && source && alias.starts_with("ua-")) out[alias.substr(3)] = source->get("file");
    }
  return out;
}

}  // namespace nodevirt::domain
