#include "virt-handler/network/masquerade.hpp"

#include <arpa/inet.h>
#include <charconv>

#include <fmt/format.h>

#include "pkg/base/id.hpp"

namespace nodevirt::virt_handler {
namespace {

/// The name-based UUIDs of MAC addresses live in this namespace.
constexpr std::string_view kMacNamespace = "6d1cbb1c-9d33-5d1a-8f2e-8f4b3c1f0a77";

std::string address(std::uint32_t host_order) {
  return fmt::format("{}.{}.{}.{}", host_order >> 24, (host_order >> 16) & 255, (host_order >> 8) & 255, host_order & 255);
}

std::string joined_ports(const MasqueradePlan& plan, bool tcp) {
  std::set<unsigned> sorted;
  for (const ForwardedPort& p : plan.ports)
    if (p.tcp == tcp) sorted.insert(p.port);
  return fmt::format("{}", fmt::join(sorted, ", "));
}

struct Family {
  std::string_view table, address, gateway, guest, loopback;
};

/// `match` stands before the port and the action of a rule.
std::string forward_rules(const MasqueradePlan& plan, const Family& f, std::string_view match) {
  if (plan.ports.empty()) return fmt::format("    {}dnat to {}\n", match, f.guest);
  std::string out;
  for (bool tcp : {true, false})
    if (std::string ports = joined_ports(plan, tcp); !ports.empty())
      out += fmt::format("    {}{} dport {{ {} }} dnat to {}\n", match, tcp ? "tcp" : "udp", ports, f.guest);
  return out;
}

std::string render_family(const MasqueradePlan& plan, const Family& f) {
  std::string to_loopback = fmt::format("{} daddr {} ", f.address, f.loopback);
  return fmt::format(
      "table {0} nodevirt {{\n}}\n"
      "delete table {0} nodevirt\n"
      "table {0} nodevirt {{\n"
      "  chain prerouting {{\n"
      "    type nat hook prerouting priority -100; policy accept;\n"
      "    iifname \"{1}\" jump preinbound\n"
      "  }}\n"
      "  chain preinbound {{\n"
      "{2}"
      "  }}\n"
      "  chain output {{\n"
      "    type nat hook output priority -100; policy accept;\n"
      "{3}"
      "  }}\n"
      "  chain postrouting {{\n"
      "    type nat hook postrouting priority 100; policy accept;\n"
      "    oifname \"{4}\" jump postinbound\n"
      "    {5} saddr {6} masquerade\n"
      "  }}\n"
      "  chain postinbound {{\n"
      "    {5} saddr {7} snat to {8}\n"
      "  }}\n"
      "}}\n",
      f.table, kPodInterface, forward_rules(plan, f, ""), forward_rules(plan, f, to_loopback), kBridge, f.address,
      f.guest, f.loopback, f.gateway);
}

}  // namespace

Result<GuestNetwork> parse_guest_network(std::string_view cidr) {
  auto wrong = [&] {
    return Error{Code::InvalidArgument,
                 fmt::format("vmNetworkCIDR \"{}\" is no IPv4 network of at least four addresses, such as 10.0.2.0/24", cidr)};
  };
  auto slash = cidr.find('/');
  if (slash == std::string_view::npos || cidr.size() > 18) return wrong();
  in_addr parsed{};
  if (inet_pton(AF_INET, std::string(cidr.substr(0, slash)).c_str(), &parsed) != 1) return wrong();
  unsigned prefix = 0;
  std::string_view digits = cidr.substr(slash + 1);
  auto [end, ec] = std::from_chars(digits.data(), digits.data() + digits.size(), prefix);
  if (ec != std::errc{} || end != digits.data() + digits.size() || prefix < 1 || prefix > 30) return wrong();
  std::uint32_t base = ntohl(parsed.s_addr) & ~((1u << (32 - prefix)) - 1);
  return GuestNetwork{address(base + 1), address(base + 2), prefix};
}

Result<std::vector<MasqueradePlan>> plan_masquerade(const api::Instance& vmi) {
  const api::Devices& devices = vmi.spec.domain.devices;
  std::vector<MasqueradePlan> plans;
  if (devices.interfaces.empty() && !devices.autoattach_pod_interface.value_or(true)) return plans;
  if (devices.interfaces.size() > 1)
    return Error{Code::Unimplemented, "more than one network interface is not supported: leave one masquerade interface"};

  MasqueradePlan plan;
  plan.interface_name = "default";
  std::string cidr = "10.0.2.0/24";
  if (!devices.interfaces.empty()) {
    const api::Interface& wanted = devices.interfaces.front();
    if (wanted.binding != "masquerade" && !wanted.binding.empty())
      return Error{Code::Unimplemented,
                   fmt::format("interface \"{}\": the binding {} is not supported: use masquerade", wanted.name, wanted.binding)};
    plan.interface_name = wanted.name;
    plan.mac = wanted.mac;
    for (const api::Port& p : wanted.ports) {
      if (p.port < 1 || p.port > 65535)
        return Error{Code::InvalidArgument, fmt::format("interface \"{}\": {} is no port", wanted.name, p.port)};
      plan.ports.push_back({p.protocol.empty() || p.protocol == "TCP", static_cast<std::uint16_t>(p.port)});
    }
    for (const api::Network& network : vmi.spec.networks)
      if (network.name == wanted.name && !network.vm_network_cidr.empty()) cidr = network.vm_network_cidr;
  }
  NV_TRY(GuestNetwork network, parse_guest_network(cidr));
  plan.gateway = network.gateway;
  plan.guest = network.guest;
  plan.prefix = network.prefix;
  if (plan.mac.empty()) plan.mac = stable_mac(vmi.metadata.uid, plan.interface_name);
  std::replace(plan.mac.begin(), plan.mac.end(), '-', ':');
  plans.push_back(std::move(plan));
  return plans;
}

std::string render_ip_batch(const MasqueradePlan& plan, const ExistingLinks& existing) {
  std::string out;
  if (!existing.bridge)
    out += fmt::format("link add {} address {} mtu {} type bridge stp_state 0 forward_delay 0 mcast_snooping 0\n", kBridge,
                       kBridgeMac, plan.mtu);
  if (!existing.tap) out += fmt::format("tuntap add dev {} mode tap user {}\n", kTap, plan.tap_owner);
  out += fmt::format("link set dev {} mtu {} master {} up\n", kTap, plan.mtu, kBridge);
  out += fmt::format("link set dev {} mtu {} up\n", kBridge, plan.mtu);
  out += fmt::format("addr replace {}/{} dev {}\n", plan.gateway, plan.prefix, kBridge);
  if (plan.ipv6) out += fmt::format("addr replace {}/{} dev {} nodad\n", kGatewayIpv6, kPrefixIpv6, kBridge);
  return out;
}

std::string render_nft(const MasqueradePlan& plan) {
  std::string out = render_family(plan, {"ip", "ip", plan.gateway, plan.guest, "127.0.0.1"});
  if (plan.ipv6) out += render_family(plan, {"ip6", "ip6", kGatewayIpv6, kGuestIpv6, "::1"});
  return out;
}

std::string stable_mac(std::string_view instance_uid, std::string_view interface_name) {
  std::string id = uuid_v5(kMacNamespace, fmt::format("{}/{}", instance_uid, interface_name));
  std::string hex;
  for (char c : id)
    if (c != '-' && hex.size() < 10) hex += c;
  return fmt::format("02:{}:{}:{}:{}:{}", hex.substr(0, 2), hex.substr(2, 2), hex.substr(4, 2), hex.substr(6, 2), hex.substr(8, 2));
}

}  // namespace nodevirt::virt_handler
