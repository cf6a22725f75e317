// The rules that an instance's spec is held to; each looks at one thing.
#pragma once
#include "api/vmi.hpp"
#include "virt-api/admission/cause.hpp"

namespace nodevirt::virt_api {

struct RuleInput {
  const api::InstanceSpec& spec;
  const Json& json;          ///< the same spec as it was sent
  const std::string& path;   ///< "spec" or "spec.template.spec"
};
using Rule = void (*)(const RuleInput& in, Causes& out);

// rules_devices.cpp
void disk_names(const RuleInput& in, Causes& out);
void disk_buses(const RuleInput& in, Causes& out);
void disk_options(const RuleInput& in, Causes& out);
void disk_serials(const RuleInput& in, Causes& out);
void boot_orders(const RuleInput& in, Causes& out);
void interfaces(const RuleInput& in, Causes& out);
void interface_models(const RuleInput& in, Causes& out);
void mac_addresses(const RuleInput& in, Causes& out);
void ports(const RuleInput& in, Causes& out);
void networks(const RuleInput& in, Causes& out);
void inputs(const RuleInput& in, Causes& out);
void watchdog(const RuleInput& in, Causes& out);
// rules_extras.cpp
void pci_addresses(const RuleInput& in, Causes& out);
void dhcp_options(const RuleInput& in, Causes& out);
void panic_devices(const RuleInput& in, Causes& out);
void sound_and_video(const RuleInput& in, Causes& out);
void reboot_policy(const RuleInput& in, Causes& out);
void bootloader(const RuleInput& in, Causes& out);
// rules_volumes.cpp
void volume_names(const RuleInput& in, Causes& out);
void volume_sources(const RuleInput& in, Causes& out);
void container_disks(const RuleInput& in, Causes& out);
void cloud_init(const RuleInput& in, Causes& out);
void host_disks(const RuleInput& in, Causes& out);
void claims(const RuleInput& in, Causes& out);
void empty_disks(const RuleInput& in, Causes& out);
// rules_resources.cpp
void memory(const RuleInput& in, Causes& out);
void cpu_resources(const RuleInput& in, Causes& out);
void cpu_topology(const RuleInput& in, Causes& out);
void machine(const RuleInput& in, Causes& out);
void firmware(const RuleInput& in, Causes& out);
void clock(const RuleInput& in, Causes& out);
void io_threads(const RuleInput& in, Causes& out);
// rules_placement.cpp
void names(const RuleInput& in, Causes& out);
void strategies(const RuleInput& in, Causes& out);
void grace_period(const RuleInput& in, Causes& out);
void dns(const RuleInput& in, Causes& out);
void probes(const RuleInput& in, Causes& out);

/// All of the above.
const std::vector<Rule>& instance_rules();

// Shared by the rules.
bool is_dns_label(std::string_view text);       ///< RFC 1123, at most 63
bool is_dns_subdomain(std::string_view text);   ///< at most 253
bool one_of(std::string_view value, std::initializer_list<std::string_view> allowed);
std::string item(const RuleInput& in, std::string_view list, std::size_t index, std::string_view member = "");

}  // namespace nodevirt::virt_api
