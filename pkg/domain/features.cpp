// ACPI, APIC, KVM's and Hyper-V's features.
#include "pkg/domain/configurator.hpp"

namespace nodevirt::domain {

Result<void> configure_features(Context& c) {
  const auto& want = c.spec().features;
  const auto& firmware = c.spec().firmware;
  Element& f = c.domain.child("features");
  if (want.acpi.value_or(true)) f.child("acpi");
  if (want.apic.value_or(true)) {
    Element& apic = f.child("apic");
    if (want.apic_end_of_interrupt) apic.attr("eoi", "on");
  }
  bool secure = firmware && firmware->efi && firmware->secure_boot.value_or(true);
  if (want.smm || secure) f.child("smm").attr("state", on_off(want.smm.value_or(secure)));
  if (want.pvspinlock) f.child("pvspinlock").attr("state", on_off(*want.pvspinlock));
  f.child("vmport").attr("state", "off");
  if (!c.options.kvm) return {};  // the rest exists under KVM only, and changes nothing that a guest relies on

  if (want.kvm_hidden) f.child("kvm").child("hidden").attr("state", on_off(*want.kvm_hidden));
  if (want.hyperv_passthrough.value_or(false)) {
    f.child("hyperv").attr("mode", "passthrough");
  } else if (!want.hyperv.empty()) {
    Element& h = f.child("hyperv");
    for (auto& [name, on] : want.hyperv) {
      Element& e = h.child(name == "vendorid" ? "vendor_id" : name == "synictimer" ? "stimer" : name);
      e.attr("state", on_off(on));
      if (name == "spinlocks" && on) e.attr("retries", std::to_string(want.hyperv_spinlock_retries.value_or(4096)));
      if (name == "vendorid" && on) e.attr("value", want.hyperv_vendor_id);
      if (name == "synictimer" && on && want.hyperv_stimer_direct) e.child("direct").attr("state", "on");
    }
  }
  return {};
}

}  // namespace nodevirt::domain
