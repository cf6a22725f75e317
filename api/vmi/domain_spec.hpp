// spec.domain of an instance, apart from its devices: processor, memory, machine, firmware, clock, features.
#pragma once
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "api/quantity.hpp"

namespace nodevirt::api {

using ResourceList = std::map<std::string, Quantity>;

struct Resources {
  ResourceList requests, limits;
  bool overcommit_guest_overhead = false;
};

struct CpuFeature {
  std::string name;
  std::string policy;  ///< force | require | optional | disable | forbid; empty: require
};

struct Cpu {
  std::uint32_t cores = 0, sockets = 0, max_sockets = 0, threads = 0;  ///< 0: not given
  std::string model;  ///< empty: host-model
  std::vector<CpuFeature> features;
  bool dedicated_placement = false;
  bool isolate_emulator_thread = false;
  bool numa = false, realtime = false;  ///< present; not decoded further
};

struct Memory {
  std::optional<Quantity> guest, max_guest;
  std::optional<std::string> hugepages;  ///< page size
};

struct Firmware {
  std::string uuid, serial;
  bool bios = false, bios_use_serial = false;
  bool efi = false;
  std::optional<bool> secure_boot, efi_persistent;
  bool kernel_boot = false;  ///< firmware.kernelBoot.container is present
  std::string kernel_args;
  bool acpi_tables = false;  ///< firmware.acpi is present
};

struct Timer {
  std::optional<bool> present;
  std::string tick_policy, track;
};

struct Clock {
  std::optional<int> utc_offset_seconds;
  bool utc = false;
  std::string timezone;                       ///< empty: UTC
  std::map<std::string, Timer> timers;        ///< hpet, kvm, pit, rtc, hyperv: those that are given
};

/// One feature state: absent, enabled (also when `enabled` is left out), or disabled.
using FeatureState = std::optional<bool>;

struct Features {
  FeatureState acpi, apic, smm, pvspinlock;
  bool apic_end_of_interrupt = false;
  std::optional<bool> kvm_hidden;
  FeatureState hyperv_passthrough;
  /// hyperv's flags by their API names (relaxed, vapic, spinlocks, vpindex, runtime, synic, synictimer,
  /// reset, vendorid, frequencies, reenlightenment, tlbflush, ipi, evmcs).
  std::map<std::string, bool> hyperv;
  std::optional<std::uint32_t> hyperv_spinlock_retries;
  std::string hyperv_vendor_id;
  bool hyperv_stimer_direct = false;
};

struct Chassis {
  std::string manufacturer, version, serial, asset, sku;
};

}  // namespace nodevirt::api
