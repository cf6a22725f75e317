#include "pkg/domain/configurator.hpp"

namespace nodevirt::domain {

Result<void> configure_clock(Context& c) {
  api::Clock want = c.spec().clock.value_or(api::Clock{});
  Element& clock = c.domain.child("clock");
  if (!want.timezone.empty()) clock.attr("offset", "timezone").attr("timezone", want.timezone);
  else if (want.utc_offset_seconds)
    clock.attr("offset", "variable").attr("adjustment", std::to_string(*want.utc_offset_seconds)).attr("basis", "utc");
  else clock.attr("offset", "utc");

  // A high precision timer that nobody asked for keeps an idle guest's QEMU awake.
  if (!want.timers.count("hpet")) want.timers["hpet"].present = false;
  for (auto& [name, timer] : want.timers) {
    if ((name == "kvm" || name == "hyperv") && !c.options.kvm) continue;
    Element& e = clock.child("timer").attr("name", name == "kvm" ? "kvmclock" : name == "hyperv" ? "hypervclock" : name);
    if (!timer.tick_policy.empty()) e.attr("tickpolicy", timer.tick_policy);
    if (!timer.track.empty()) e.attr("track", timer.track);
    e.attr("present", yes_no(timer.present.value_or(true)));
  }
  return {};
}

}  // namespace nodevirt::domain
