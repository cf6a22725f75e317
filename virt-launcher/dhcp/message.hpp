// DHCP (RFC 2131) messages without I/O: what a guest asks, and what it is told. The bytes are a guest's: hostile.
#pragma once
#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "pkg/base/result.hpp"

namespace nodevirt::virt_launcher::dhcp {

using Mac = std::array<std::uint8_t, 6>;
using Ip = std::uint32_t;  ///< in host order

Result<Mac> parse_mac(std::string_view text);
Result<Ip> parse_ip(std::string_view text);
std::string format_ip(Ip ip);

struct Route {
  Ip destination = 0;
  unsigned prefix = 0;
  Ip gateway = 0;
};
/// "10.0.0.0/8" via "10.0.2.1".
Result<Route> parse_route(std::string_view destination, std::string_view gateway);

/// Everything that one interface of the guest is told.
struct Lease {
  Mac mac{};
  Ip ip = 0, gateway = 0;
  unsigned prefix = 24;
  std::vector<Ip> dns;
  std::vector<std::string> search;
  std::vector<Route> routes;  ///< besides the default route
  unsigned mtu = 0;
  std::string hostname;
  std::string tftp_server, boot_file;  ///< options 66 and 67; empty: not told
  std::vector<Ip> ntp;
  std::vector<std::pair<std::uint8_t, std::string>> private_options;  ///< 224 to 254
};

enum class Type : std::uint8_t { None = 0, Discover = 1, Offer, Request, Decline, Ack, Nak, Release, Inform };

struct Request {
  std::uint32_t xid = 0;
  std::uint16_t seconds = 0, flags = 0;
  Ip client_ip = 0, relay_ip = 0;
  Mac mac{};
  std::array<std::uint8_t, 16> hardware{};
  Type type = Type::None;
  std::optional<Ip> requested_ip, server_id;
};

/// InvalidArgument for anything but a well-formed BOOTREQUEST of Ethernet with a message type.
Result<Request> parse_request(std::span<const std::uint8_t> bytes);

/// What to answer; nothing for another machine's requests, other servers' offers, releases and the like.
/// The server calls itself by the lease's gateway address.
std::optional<std::vector<std::uint8_t>> build_reply(const Request& request, const Lease& lease);

}  // namespace nodevirt::virt_launcher::dhcp
