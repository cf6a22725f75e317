// The smaller devices, and what is said about where and how devices appear.
#include <set>

#include <arpa/inet.h>

#include <fmt/format.h>

#include "virt-api/admission/rules.hpp"

namespace nodevirt::virt_api {

namespace {

constexpr std::string_view kDisksField = "domain.devices.disks", kInterfacesField = "domain.devices.interfaces";

// dddd:bb:ss.f in hexadecimal, slots up to 1f, functions up to 7.
bool is_pci_address(const std::string& t) {
  if (t.size() != 12 || t[4] != ':' || t[7] != ':' || t[10] != '.') return false;
  for (std::size_t i : {0, 1, 2, 3, 5, 6, 8, 9, 11})
    if (!std::isxdigit(static_cast<unsigned char>(t[i]))) return false;
  return t[8] <= '1' && t[11] <= '7';
}

}  // namespace

void pci_addresses(const RuleInput& in, Causes& out) {
  std::set<std::string> seen;
  auto check = [&](const std::string& address, const std::string& field) {
    if (address.empty()) return;
    if (!is_pci_address(address))
      out.push_back({field, fmt::format("\"{}\" is no PCI address; it looks like 0000:01:02.3", address)});
    else if (!seen.insert(address).second)
      out.push_back({field, fmt::format("another device is at {} already", address), Cause::Type::Duplicate});
  };
  const auto& d = in.spec.domain.devices;
  for (std::size_t i = 0; i < d.disks.size(); ++i) check(d.disks[i].pci_address, item(in, kDisksField, i, "disk.pciAddress"));
  std::set<std::uint32_t> indexes;
  for (std::size_t i = 0; i < d.interfaces.size(); ++i) {
    check(d.interfaces[i].pci_address, item(in, kInterfacesField, i, "pciAddress"));
    auto index = d.interfaces[i].acpi_index;
    if (index > 16383) out.push_back({item(in, kInterfacesField, i, "acpiIndex"), "must be at most 16383"});
    else if (index && !indexes.insert(index).second)
      out.push_back({item(in, kInterfacesField, i, "acpiIndex"), fmt::format("another interface has the index {} already", index), Cause::Type::Duplicate});
  }
}

void dhcp_options(const RuleInput& in, Causes& out) {
  const auto& list = in.spec.domain.devices.interfaces;
  for (std::size_t i = 0; i < list.size(); ++i) {
    const Json& want = list[i].dhcp_options;
    if (!want.is_object()) continue;
    auto at = [&](const std::string& member) { return item(in, kInterfacesField, i, "dhcpOptions." + member); };
    for (const char* name : {"bootFileName", "tftpServerName"})
      if (string_at(want, {name}).size() > 255) out.push_back({at(name), "must be at most 255 characters"});
    if (const Json* servers = find(want, {"ntpServers"}); servers && servers->is_array()) {
      if (servers->size() > 16) out.push_back({at("ntpServers"), "at most 16 servers can be told"});
      for (const Json& server : *servers) {
        in_addr parsed{};
        if (!server.is_string() || inet_pton(AF_INET, server.get_ref<const std::string&>().c_str(), &parsed) != 1)
          out.push_back({at("ntpServers"), fmt::format("{} is no IPv4 address", server.dump())});
      }
    }
    const Json* others = find(want, {"privateOptions"});
    if (!others || !others->is_array()) continue;
    std::set<std::int64_t> seen;
    for (std::size_t k = 0; k < others->size() && k < 64; ++k) {
      auto field = at(fmt::format("privateOptions[{}]", k));
      auto code = int_at((*others)[k], {"option"});
      auto size = string_at((*others)[k], {"value"}).size();
      if (code < 224 || code > 254) out.push_back({field + ".option", "must be from 224 to 254"});
      else if (!seen.insert(code).second) out.push_back({field + ".option", "is given twice", Cause::Type::Duplicate});
      if (size == 0 || size > 255) out.push_back({field + ".value", "must have 1 to 255 characters"});
    }
  }
}

void panic_devices(const RuleInput& in, Causes& out) {
  const auto& list = in.spec.domain.devices.panic_devices;
  std::set<std::string> seen;
  for (std::size_t i = 0; i < list.size(); ++i) {
    auto field = item(in, "domain.devices.panicDevices", i, "model");
    // hyperv is told through KVM's Hyper-V interface, and no guest here has shown it working.
    if (!one_of(list[i], {"", "isa", "pvpanic"}))
      out.push_back({field, fmt::format("\"{}\" is not supported; supported are isa and pvpanic", list[i]), Cause::Type::NotSupported});
    else if (!seen.insert(list[i].empty() ? "isa" : list[i]).second)
      out.push_back({field, "another panic device is of that model already", Cause::Type::Duplicate});
  }
}

void sound_and_video(const RuleInput& in, Causes& out) {
  const auto& d = in.spec.domain.devices;
  auto devices = in.path + ".domain.devices";
  if (const Json* sound = find(in.json, {"domain", "devices", "sound"}); sound && sound->is_object()) {
    if (d.sound_name.empty()) out.push_back({devices + ".sound.name", "a sound device needs a name", Cause::Type::Required});
    if (!one_of(d.sound_model, {"", "ich9", "ac97"}))
      out.push_back({devices + ".sound.model", "must be ich9 or ac97", Cause::Type::NotSupported});
  }
  if (!one_of(d.video_type, {"", "vga", "virtio", "bochs", "cirrus"}))
    out.push_back({devices + ".video.type", fmt::format("\"{}\" is not supported; supported are vga, virtio, bochs, cirrus", d.video_type),
                   Cause::Type::NotSupported});
  else if (!d.video_type.empty() && !d.autoattach_graphics.value_or(true))
    out.push_back({devices + ".video.type", "there is no graphics device to choose: autoattachGraphicsDevice is false"});
}

void reboot_policy(const RuleInput& in, Causes& out) {
  if (!one_of(in.spec.domain.reboot_policy, {"", "Reboot", "Terminate"}))
    out.push_back({in.path + ".domain.rebootPolicy", "must be Reboot or Terminate", Cause::Type::NotSupported});
}

void bootloader(const RuleInput& in, Causes& out) {
  const auto& f = in.spec.domain.firmware;
  if (!f || !f->efi) return;
  auto field = in.path + ".domain.firmware.bootloader";
  if (f->bios) out.push_back({field, "has both bios and efi; keep one"});
  // The API's default is true.
  if (f->secure_boot.value_or(true))
    out.push_back({field + ".efi.secureBoot", "secure boot is not supported by this version of Nodevirt; set it to false", Cause::Type::NotSupported});
}

}  // namespace nodevirt::virt_api
