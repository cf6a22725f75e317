#include "pkg/domain/domain.hpp"

#include "pkg/domain/configurator.hpp"

namespace nodevirt::domain {

namespace {
constexpr Configurator kConfigurators[] = {
    refuse_unsupported, configure_identity, configure_memory, configure_cpu, configure_firmware,
    configure_smbios, configure_features, configure_clock, configure_lifecycle, configure_io_threads,
    configure_disks, configure_usb, configure_interfaces, configure_serial, configure_guest_agent,
    configure_graphics, configure_inputs, configure_balloon, configure_rng, configure_watchdog,
    configure_sound, configure_panic,
};
}  // namespace

std::string domain_name(const api::Metadata& m) { return m.namespace_ + "_" + m.name; }

std::string user_alias(std::string_view name) {
  std::string out = "ua-";
  for (char c : name) {
    bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_' || c == '.';
    out += plain ? c : '_';
  }
  return out;
}

Result<std::string> build_domain_xml(const api::Instance& instance, const Options& options) {
  Element root("domain");
  Element devices("devices");
  Context context{instance, options, root, devices};
  for (auto configure : kConfigurators) NV_TRY_VOID(configure(context));
  root.adopt(std::move(devices));
  NV_TRY_VOID(configure_pvpanic(context));
  NV_TRY_VOID(configure_monitor(context));  // last, as libvirt's schema has it
  return root.to_string();
}

}  // namespace nodevirt::domain
