// Balloon, random numbers, watchdog, panic device.
#include <algorithm>
#include <set>

#include "pkg/domain/configurator.hpp"

namespace nodevirt::domain {

Result<void> configure_balloon(Context& c) {
  Element& e = c.devices.child("memballoon");
  if (!c.spec().devices.autoattach_mem_balloon.value_or(true)) {
    e.attr("model", "none");
    return {};
  }
  e.attr("model", transitional(c.spec()) ? kTransitional : "virtio").attr("freePageReporting", "on");
  e.child("stats").attr("period", "10");
  return {};
}

Result<void> configure_rng(Context& c) {
  if (c.spec().devices.rng)
    c.devices.child("rng").attr("model", transitional(c.spec()) ? kTransitional : "virtio").child("backend").attr("model", "random").text("/dev/urandom");
  return {};
}

Result<void> configure_watchdog(Context& c) {
  const auto& w = c.spec().devices.watchdog;
  if (!w) return {};
  if (w->model != "i6300esb")
    return Error(Code::Unimplemented, "Invalid",
                 fmt::format("spec.domain.devices.watchdog: only i6300esb exists on x86_64, not {}", w->model));
  c.devices.child("watchdog")
      .attr("model", w->model)
      .attr("action", w->action.empty() ? "reset" : w->action)
      .child("alias").attr("name", user_alias(w->name));
  return {};
}

Result<void> configure_panic(Context& c) {
  std::set<std::string> seen;
  for (auto& asked : c.spec().devices.panic_devices) {
    std::string model = asked.empty() ? "isa" : asked;
    if (model != "isa" && model != "hyperv" && model != "pvpanic")
      return Error(Code::Unimplemented, "Invalid",
                   fmt::format("spec.domain.devices.panicDevices: model {} is not supported; isa, pvpanic and hyperv are", model));
    if (!seen.insert(model).second)
      return Error(Code::InvalidArgument, "Invalid", fmt::format("spec.domain.devices.panicDevices: two devices are of model {}", model));
    if (model != "pvpanic") c.devices.child("panic").attr("model", model);
  }
  return {};
}

// libvirt before 9.1 does not know the device on PCI; what it tells is handled like that of the others. QEMU makes it
// before those that libvirt gives a place, so it has a slot that libvirt takes last.
Result<void> configure_pvpanic(Context& c) {
  const auto& asked = c.spec().devices.panic_devices;
  if (std::find(asked.begin(), asked.end(), "pvpanic") == asked.end()) return {};
  c.domain.attr("xmlns:qemu", "http://libvirt.org/schemas/domain/qemu/1.0");
  Element& line = c.domain.child("qemu:commandline");
  for (const char* argument : {"-device", "pvpanic-pci,bus=pcie.0,addr=0x1e"}) line.child("qemu:arg").attr("value", argument);
  return {};
}

}  // namespace nodevirt::domain
