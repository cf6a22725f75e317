// Network interfaces on taps that virt-handler made.
#include "pkg/domain/configurator.hpp"

namespace nodevirt::domain {

namespace {

const InterfaceSource* interface_source(const Options& options, const std::string& name) {
  for (auto& s : options.interfaces)
    if (s.name == name) return &s;
  return nullptr;
}

Result<void> add_interface(Context& c, const api::Interface& want, const InterfaceSource& source) {
  Element& e = c.devices.child("interface").attr("type", "ethernet");
  if (!source.mac.empty()) e.child("mac").attr("address", source.mac);
  e.child("target").attr("dev", source.tap).attr("managed", "no");
  bool virtio = want.model.empty() || want.model == "virtio";
  e.child("model").attr("type", !virtio ? want.model : transitional(c.spec()) ? kTransitional : "virtio");
  if (virtio)
    e.child("driver").attr("name", c.options.vhost_net ? "vhost" : "qemu");
  if (source.mtu) e.child("mtu").attr("size", std::to_string(source.mtu));
  if (want.state == "down") e.child("link").attr("state", "down");
  // The boot ROM is for PXE only, and costs time at every start.
  if (want.boot_order) e.child("boot").attr("order", std::to_string(*want.boot_order));
  else e.child("rom").attr("enabled", "no");
  if (want.acpi_index) e.child("acpi").attr("index", std::to_string(want.acpi_index));
  e.child("alias").attr("name", user_alias(source.name));
  return add_pci_address(e, want.pci_address, fmt::format("interface {}", source.name));
}

}  // namespace

Result<void> configure_interfaces(Context& c) {
  const auto& wanted = c.spec().devices.interfaces;
  if (wanted.empty()) {
    for (auto& s : c.options.interfaces) NV_TRY_VOID(add_interface(c, api::Interface{}, s));
    return {};
  }
  for (auto& want : wanted) {
    if (want.state == "absent") continue;
    const InterfaceSource* source = interface_source(c.options, want.name);
    if (!source)
      return Error(Code::FailedPrecondition, fmt::format("interface {}: the node has not prepared it", want.name));
    NV_TRY_VOID(add_interface(c, want, *source));
  }
  return {};
}

}  // namespace nodevirt::domain
