// Balloon, random numbers, watchdog, panic device.
#include "pkg/domain/configurator.hpp"

namespace nodevirt::domain {

Result<void> configure_balloon(Context& c) {
  Element& e = c.devices.child("memballoon");
  if (!c.spec().devices.autoattach_mem_balloon.value_or(true)) {
    e.attr("model", "none");
    return {};
  }
  e.attr("model", "virtio").attr("freePageReporting", "on");
  e.child("stats").attr("period", "10");
  return {};
}

Result<void> configure_rng(Context& c) {
  if (c.spec().devices.rng)
    c.devices.child("rng").attr("model", "virtio").child("backend").attr("model", "random").text("/dev/urandom");
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
  for (auto& model : c.spec().devices.panic_devices) {
    if (model != "isa" && model != "hyperv")
      return Error(Code::Unimplemented, "Invalid",
                   fmt::format("spec.domain.devices.panicDevices: model {} is not supported; isa and hyperv are", model));
    c.devices.child("panic").attr("model", model);
  }
  return {};
}

}  // namespace nodevirt::domain
