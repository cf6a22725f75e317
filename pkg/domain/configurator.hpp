// What the configurators share. Each is one function in one file, and one line in the list of domain.cpp.
#pragma once
#include "pkg/domain/domain.hpp"
#include "pkg/domain/xml.hpp"

namespace nodevirt::domain {

struct Context {
  const api::Instance& instance;
  const Options& options;
  Element& domain;
  Element& devices;

  const api::DomainSpec& spec() const { return instance.spec.domain; }
};

using Configurator = Result<void> (*)(Context&);

Result<void> configure_identity(Context&);
Result<void> configure_memory(Context&);
Result<void> configure_cpu(Context&);
Result<void> configure_firmware(Context&);
Result<void> configure_smbios(Context&);
Result<void> configure_features(Context&);
Result<void> configure_clock(Context&);
Result<void> configure_lifecycle(Context&);
Result<void> configure_io_threads(Context&);
Result<void> configure_disks(Context&);
Result<void> configure_usb(Context&);
Result<void> configure_interfaces(Context&);
Result<void> configure_serial(Context&);
Result<void> configure_guest_agent(Context&);
Result<void> configure_graphics(Context&);
Result<void> configure_inputs(Context&);
Result<void> configure_balloon(Context&);
Result<void> configure_rng(Context&);
Result<void> configure_watchdog(Context&);
Result<void> configure_sound(Context&);
Result<void> configure_panic(Context&);
/// The panic device that libvirt has no element for: an argument of QEMU, after all elements.
Result<void> configure_pvpanic(Context&);
Result<void> configure_monitor(Context&);
Result<void> refuse_unsupported(Context&);

/// <address type='pci' .../> of "0000:01:02.3"; InvalidArgument for anything else. Nothing for an empty text.
Result<void> add_pci_address(Element& device, const std::string& text, const std::string& what);
/// What libvirt calls the model of a device that is found by old and new virtio drivers alike.
inline constexpr const char* kTransitional = "virtio-transitional";
bool transitional(const api::DomainSpec& spec);

/// "ua-NAME" with everything but [A-Za-z0-9_.-] replaced: an alias that libvirt keeps as it is.
std::string user_alias(std::string_view name);
/// How many iothreads the disks use, and which one disk `index` has (0: none).
unsigned io_thread_count(const api::DomainSpec& spec);
unsigned io_thread_of(const api::DomainSpec& spec, std::size_t disk_index);
bool uses_usb(const api::DomainSpec& spec);

inline const char* yes_no(bool b) { return b ? "yes" : "no"; }
inline const char* on_off(bool b) { return b ? "on" : "off"; }

}  // namespace nodevirt::domain
