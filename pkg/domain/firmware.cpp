// Machine type, bootloader, SMBIOS.
#include "pkg/domain/configurator.hpp"

namespace nodevirt::domain {

Result<void> configure_firmware(Context& c) {
  const auto& f = c.spec().firmware;
  Element& os = c.domain.child("os");
  bool efi = f && f->efi;
  if (efi) os.attr("firmware", "efi");
  const std::string& machine = c.spec().machine_type;
  os.child("type").attr("arch", "x86_64").attr("machine", machine.empty() ? "q35" : machine).text("hvm");
  if (efi) {
    bool secure = f->secure_boot.value_or(true);
    Element& firmware = os.child("firmware");
    firmware.child("feature").attr("enabled", yes_no(secure)).attr("name", "secure-boot");
    if (!secure) firmware.child("feature").attr("enabled", "no").attr("name", "enrolled-keys");
  }
  os.child("smbios").attr("mode", "sysinfo");
  if (f && f->bios_use_serial) os.child("bios").attr("useserial", "yes");
  return {};
}

Result<void> configure_smbios(Context& c) {
  const auto& f = c.spec().firmware;
  Element& info = c.domain.child("sysinfo").attr("type", "smbios");
  auto entry = [](Element& parent, const char* name, const std::string& value) {
    if (!value.empty()) parent.child("entry").attr("name", name).text(value);
  };
  Element& system = info.child("system");
  entry(system, "manufacturer", "KubeVirt");
  entry(system, "product", "Nodevirt");
  if (f) entry(system, "serial", f->serial);
  entry(system, "uuid", f && !f->uuid.empty() ? f->uuid : c.instance.metadata.uid);
  entry(system, "family", "KubeVirt");
  if (const auto& chassis = c.spec().chassis) {
    Element& e = info.child("chassis");
    entry(e, "manufacturer", chassis->manufacturer);
    entry(e, "version", chassis->version);
    entry(e, "serial", chassis->serial);
    entry(e, "asset", chassis->asset);
    entry(e, "sku", chassis->sku);
  }
  return {};
}

}  // namespace nodevirt::domain
