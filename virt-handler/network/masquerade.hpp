// The masquerade binding as data: addresses, and the text given to `ip -batch` and `nft -f`. Pure.
//
//   eth0 (pod's address) -- nftables -- k6t-eth0 (gateway) -- tap0 -- guest (its address by DHCP)
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "api/vmi.hpp"
#include "pkg/base/result.hpp"

namespace nodevirt::virt_handler {

inline constexpr std::string_view kPodInterface = "eth0";
inline constexpr std::string_view kBridge = "k6t-eth0";
inline constexpr std::string_view kBridgeMac = "02:00:00:00:00:00";
inline constexpr std::string_view kTap = "tap0";

struct ForwardedPort {
  bool tcp = true;  ///< else UDP
  std::uint16_t port = 0;
  friend bool operator==(const ForwardedPort&, const ForwardedPort&) = default;
};

struct MasqueradePlan {
  std::string interface_name;  ///< of spec.domain.devices.interfaces
  std::string mac;             ///< the guest's
  std::string gateway, guest;  ///< 10.0.2.1 and 10.0.2.2 when spec.networks names no other network
  unsigned prefix = 24;
  bool ipv6 = false;           ///< also fd10:0:2::1/120 and fd10:0:2::2
  std::vector<ForwardedPort> ports;  ///< empty: all
  unsigned mtu = 1500;
  unsigned tap_owner = 107;
};

inline constexpr std::string_view kGatewayIpv6 = "fd10:0:2::1";
inline constexpr std::string_view kGuestIpv6 = "fd10:0:2::2";
inline constexpr unsigned kPrefixIpv6 = 120;

/// What the instance asks for. An instance without interfaces (and without autoattachPodInterface: false)
/// gets one masquerade interface named "default". Empty when it wants none.
/// Unimplemented for other bindings and for more than one interface; InvalidArgument for a bad network.
Result<std::vector<MasqueradePlan>> plan_masquerade(const api::Instance& vmi);

/// The first two host addresses of an IPv4 network such as "10.0.2.0/24" (at least a /30).
struct GuestNetwork { std::string gateway, guest; unsigned prefix = 0; };
Result<GuestNetwork> parse_guest_network(std::string_view cidr);

/// What exists already in the pod's namespace.
struct ExistingLinks { bool bridge = false, tap = false; };
std::string render_ip_batch(const MasqueradePlan& plan, const ExistingLinks& existing);
/// One transaction that replaces our tables whole: repeating it changes nothing.
std::string render_nft(const MasqueradePlan& plan);

/// The locally administered MAC that an interface gets for good when none is given.
std::string stable_mac(std::string_view instance_uid, std::string_view interface_name);

}  // namespace nodevirt::virt_handler
