#include <arpa/inet.h>

#include <fmt/format.h>

#include "virt-api/admission/rules.hpp"

namespace nodevirt::virt_api {

namespace {

void check_probe(const RuleInput& in, const Json& probe, const std::string& field, bool pod_network, Causes& out) {
  if (!probe.is_object()) return;
  const Json* tcp = find(probe, {"tcpSocket"});
  const Json* http = find(probe, {"httpGet"});
  int kinds = (tcp != nullptr) + (http != nullptr) + probe.contains("exec") + probe.contains("guestAgentPing");
  if (kinds == 0) out.push_back({field, "needs one of tcpSocket and httpGet", Cause::Type::Required});
  if (kinds > 1) out.push_back({field, "has several kinds; keep one of tcpSocket and httpGet"});
  for (const auto* action : {tcp, http}) {
    if (!action) continue;
    const Json* port = find(*action, {"port"});
    bool number = port && port->is_number_integer() && port->get<std::int64_t>() >= 1 && port->get<std::int64_t>() <= 65535;
    if (!number) out.push_back({field + (action == tcp ? ".tcpSocket.port" : ".httpGet.port"), "must be a number from 1 to 65535", Cause::Type::Required});
    if (!pod_network) out.push_back({field, "asks the guest over the pod network, and the instance has none"});
  }
  for (const char* name : {"initialDelaySeconds", "timeoutSeconds", "periodSeconds", "successThreshold", "failureThreshold"})
    if (int_at(probe, {name}) < 0) out.push_back({field + "." + name, "must not be negative"});
  if (field.ends_with("livenessProbe") && int_at(probe, {"successThreshold"}, 1) > 1)
    out.push_back({field + ".successThreshold", "must be 1 for liveness"});
  (void)in;
}

}  // namespace

void names(const RuleInput& in, Causes& out) {
  if (!in.spec.hostname.empty() && !is_dns_label(in.spec.hostname))
    out.push_back({in.path + ".hostname", "must be at most 63 lower-case letters, digits and -"});
  if (!in.spec.subdomain.empty() && !is_dns_subdomain(in.spec.subdomain))
    out.push_back({in.path + ".subdomain", "must be a DNS name of lower-case letters, digits, - and ."});
}

void strategies(const RuleInput& in, Causes& out) {
  if (!one_of(in.spec.eviction_strategy, {"", "None", "LiveMigrate", "LiveMigrateIfPossible", "External"}))
    out.push_back({in.path + ".evictionStrategy",
                   fmt::format("is set with an unrecognized option: {}; supported are None, LiveMigrate, LiveMigrateIfPossible, External",
                               in.spec.eviction_strategy),
                   Cause::Type::NotSupported});
  if (!one_of(in.spec.start_strategy, {"", "Paused"}))
    out.push_back({in.path + ".startStrategy", fmt::format("is set with an unrecognized option: {}; supported is Paused", in.spec.start_strategy),
                   Cause::Type::NotSupported});
  if (in.spec.start_strategy == "Paused" && in.spec.liveness_probe.is_object())
    out.push_back({in.path + ".startStrategy", "either startStrategy or livenessProbe should be provided. Pausing VMI with LivenessProbe is not supported"});
}

void grace_period(const RuleInput& in, Causes& out) {
  if (in.spec.termination_grace_period_seconds && *in.spec.termination_grace_period_seconds < 0)
    out.push_back({in.path + ".terminationGracePeriodSeconds", "must be 0 or more"});
}

void dns(const RuleInput& in, Causes& out) {
  if (!one_of(in.spec.dns_policy, {"", "ClusterFirst", "ClusterFirstWithHostNet", "Default", "None"}))
    out.push_back({in.path + ".dnsPolicy", "must be ClusterFirst, ClusterFirstWithHostNet, Default or None", Cause::Type::NotSupported});
  const Json* servers = find(in.spec.dns_config, {"nameservers"});
  std::size_t count = servers && servers->is_array() ? servers->size() : 0;
  auto field = in.path + ".dnsConfig.nameservers";
  if (in.spec.dns_policy == "None" && count == 0)
    out.push_back({field, "must name at least one server when dnsPolicy is None", Cause::Type::Required});
  if (count > 3) out.push_back({field, "must not have more than 3 nameservers"});
  for (std::size_t i = 0; i < count; ++i) {
    unsigned char address[16];
    auto text = (*servers)[i].is_string() ? (*servers)[i].get<std::string>() : std::string();
    if (::inet_pton(AF_INET, text.c_str(), address) != 1 && ::inet_pton(AF_INET6, text.c_str(), address) != 1)
      out.push_back({fmt::format("{}[{}]", field, i), "must be an IP address"});
  }
  if (const Json* searches = find(in.spec.dns_config, {"searches"}); searches && searches->is_array() && searches->size() > 32)
    out.push_back({in.path + ".dnsConfig.searches", "must not have more than 32 entries"});
}

void probes(const RuleInput& in, Causes& out) {
  const auto& d = in.spec.domain.devices;
  bool pod = (in.spec.networks.empty() && d.autoattach_pod_interface.value_or(true)) ||
             std::any_of(in.spec.networks.begin(), in.spec.networks.end(), [](const auto& n) { return n.pod; });
  check_probe(in, in.spec.liveness_probe, in.path + ".livenessProbe", pod, out);
  check_probe(in, in.spec.readiness_probe, in.path + ".readinessProbe", pod, out);
}

bool is_dns_label(std::string_view text) {
  auto alnum = [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); };
  if (text.empty() || text.size() > 63 || !alnum(text.front()) || !alnum(text.back())) return false;
  return std::all_of(text.begin(), text.end(), [&](char c) { return alnum(c) || c == '-'; });
}

bool is_dns_subdomain(std::string_view text) {
  if (text.empty() || text.size() > 253) return false;
  while (true) {
    auto dot = text.find('.');
    auto label = text.substr(0, dot);
    if (!is_dns_label(label)) return false;
    if (dot == std::string_view::npos) return true;
    text.remove_prefix(dot + 1);
  }
}

bool one_of(std::string_view value, std::initializer_list<std::string_view> allowed) {
  return std::find(allowed.begin(), allowed.end(), value) != allowed.end();
}

std::string item(const RuleInput& in, std::string_view list, std::size_t index, std::string_view member) {
  auto out = fmt::format("{}.{}[{}]", in.path, list, index);
  if (!member.empty()) out.append(".").append(member);
  return out;
}

const std::vector<Rule>& instance_rules() {
  static const std::vector<Rule> rules = {
      disk_names, disk_buses, disk_options, disk_serials, boot_orders, interfaces, interface_models, mac_addresses, ports,
      networks, inputs, watchdog, volume_names, volume_sources, container_disks, cloud_init, host_disks,
      claims, empty_disks, memory, cpu_resources, cpu_topology, machine, firmware, clock, io_threads, names, strategies,
      grace_period, dns, probes, pci_addresses, dhcp_options, panic_devices, sound_and_video, reboot_policy, bootloader,
  };
  return rules;
}

}  // namespace nodevirt::virt_api
