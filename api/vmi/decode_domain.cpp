// spec.domain but for its devices.
#include "api/vmi/decode.hpp"

namespace nodevirt::api {

namespace {

FeatureState feature(const FieldReader& parent, std::string_view key) {
  FieldReader r = parent.at(key);
  if (!r.present()) return std::nullopt;
  return r.flag("enabled", true);
}

Cpu decode_cpu(const FieldReader& r) {
  Cpu c;
  c.cores = r.u32("cores");
  c.sockets = r.u32("sockets");
  c.max_sockets = r.u32("maxSockets");
  c.threads = r.u32("threads");
  c.model = r.text("model");
  r.each("features", [&](const FieldReader& f) { c.features.push_back({f.text("name"), f.text("policy")}); });
  c.dedicated_placement = r.flag("dedicatedCpuPlacement");
  c.isolate_emulator_thread = r.flag("isolateEmulatorThread");
  c.numa = r.has("numa");
  c.realtime = r.has("realtime");
  return c;
}

Memory decode_memory(const FieldReader& r) {
  Memory m;
  m.guest = r.quantity("guest");
  m.max_guest = r.quantity("maxGuest");
  if (r.has("hugepages")) m.hugepages = r.at("hugepages").text("pageSize");
  return m;
}

Firmware decode_firmware(const FieldReader& r) {
  Firmware f;
  f.uuid = r.text("uuid");
  f.serial = r.text("serial");
  FieldReader boot = r.at("bootloader");
  f.bios = boot.has("bios");
  f.bios_use_serial = boot.at("bios").flag("useSerial");
  f.efi = boot.has("efi");
  f.secure_boot = boot.at("efi").opt_flag("secureBoot");
  f.efi_persistent = boot.at("efi").opt_flag("persistent");
  f.kernel_boot = r.at("kernelBoot").has("container");
  f.kernel_args = r.at("kernelBoot").text("kernelArgs");
  f.acpi_tables = r.has("acpi");
  return f;
}

Clock decode_clock(const FieldReader& r) {
  Clock c;
  c.utc = r.has("utc");
  if (r.at("utc").has("offsetSeconds"))
    c.utc_offset_seconds = static_cast<int>(r.at("utc").integer("offsetSeconds", -2147483647, 2147483647));
  c.timezone = r.text("timezone");
  FieldReader timers = r.at("timer");
  for (const char* name : {"hpet", "kvm", "pit", "rtc", "hyperv"}) {
    FieldReader t = timers.at(name);
    if (t.present()) c.timers[name] = {t.opt_flag("present"), t.text("tickPolicy"), t.text("track")};
  }
  return c;
}

Features decode_features(const FieldReader& r) {
  Features f;
  f.acpi = feature(r, "acpi");
  f.apic = feature(r, "apic");
  f.apic_end_of_interrupt = r.at("apic").flag("endOfInterrupt");
  f.smm = feature(r, "smm");
  f.pvspinlock = feature(r, "pvspinlock");
  if (r.has("kvm")) f.kvm_hidden = r.at("kvm").flag("hidden");
  f.hyperv_passthrough = feature(r, "hypervPassthrough");
  FieldReader h = r.at("hyperv");
  for (const char* name : {"relaxed", "vapic", "spinlocks", "vpindex", "runtime", "synic", "synictimer", "reset",
                           "vendorid", "frequencies", "reenlightenment", "tlbflush", "ipi", "evmcs"})
    if (auto state = feature(h, name)) f.hyperv[name] = *state;
  f.hyperv_spinlock_retries = h.at("spinlocks").opt_u32("spinlocks");
  f.hyperv_vendor_id = h.at("vendorid").text("vendorid");
  f.hyperv_stimer_direct = feature(h.at("synictimer"), "direct").value_or(false);
  return f;
}

}  // namespace

DomainSpec decode_domain(const FieldReader& r) {
  DomainSpec d;
  FieldReader resources = r.at("resources");
  d.resources = {resources.quantities("requests"), resources.quantities("limits"),
                 resources.flag("overcommitGuestOverhead")};
  if (r.has("cpu")) d.cpu = decode_cpu(r.at("cpu"));
  if (r.has("memory")) d.memory = decode_memory(r.at("memory"));
  d.machine_type = r.at("machine").text("type");
  if (r.has("firmware")) d.firmware = decode_firmware(r.at("firmware"));
  if (r.has("clock")) d.clock = decode_clock(r.at("clock"));
  d.features = decode_features(r.at("features"));
  d.devices = decode_devices(r.at("devices"));
  if (r.has("chassis")) {
    FieldReader c = r.at("chassis");
    d.chassis = Chassis{c.text("manufacturer"), c.text("version"), c.text("serial"), c.text("asset"), c.text("sku")};
  }
  d.io_threads_policy = r.text("ioThreadsPolicy");
  d.launch_security = r.has("launchSecurity");
  d.reboot_policy = r.text("rebootPolicy");
  return d;
}

}  // namespace nodevirt::api
