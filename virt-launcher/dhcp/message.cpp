#include "virt-launcher/dhcp/message.hpp"

#include <algorithm>
#include <arpa/inet.h>
#include <charconv>
#include <cstdio>

namespace nodevirt::virt_launcher::dhcp {

namespace {

constexpr std::size_t kFixed = 236;  // up to the magic cookie
constexpr std::uint8_t kCookie[] = {99, 130, 83, 99};
constexpr std::size_t kMinReply = 300;

enum Option : std::uint8_t {
  kPad = 0, kMask = 1, kRouter = 3, kDns = 6, kHostname = 12, kDomain = 15, kMtu = 26, kBroadcast = 28, kNtp = 42,
  kRequestedIp = 50, kLeaseTime = 51, kMessageType = 53, kServerId = 54, kTftpServer = 66,
  kBootFile = 67, kSearch = 119, kRoutes = 121, kEnd = 255,
};

std::uint32_t read32(std::span<const std::uint8_t> b, std::size_t at) {
  return std::uint32_t(b[at]) << 24 | std::uint32_t(b[at + 1]) << 16 | std::uint32_t(b[at + 2]) << 8 | b[at + 3];
}

using Bytes = std::vector<std::uint8_t>;

void put32(Bytes& out, std::uint32_t v) {
  for (int shift : {24, 16, 8, 0}) out.push_back(static_cast<std::uint8_t>(v >> shift));
}

Bytes bytes_of(const std::string& s) { return {s.begin(), s.end()}; }
Bytes bytes_of(Ip ip) {
  Bytes b;
  put32(b, ip);
  return b;
}

// Longer values go into several options of the same code (RFC 3396).
void put_option(Bytes& out, std::uint8_t code, const Bytes& value) {
  for (std::size_t at = 0; at < value.size(); at += 255) {
    std::size_t n = std::min<std::size_t>(255, value.size() - at);
    out.push_back(code);
    out.push_back(static_cast<std::uint8_t>(n));
    out.insert(out.end(), value.begin() + static_cast<std::ptrdiff_t>(at), value.begin() + static_cast<std::ptrdiff_t>(at + n));
  }
}

Ip mask_of(unsigned prefix) { return prefix == 0 ? 0 : prefix >= 32 ? ~0u : ~0u << (32 - prefix); }

Bytes encode_search(const std::vector<std::string>& domains) {
  Bytes out;
  for (const std::string& domain : domains) {
    Bytes name;
    bool good = !domain.empty() && domain.size() <= 253;
    for (std::size_t at = 0; good && at < domain.size();) {
      std::size_t dot = std::min(domain.find('.', at), domain.size());
      std::size_t n = dot - at;
      good = n > 0 && n < 64;
      name.push_back(static_cast<std::uint8_t>(n));
      name.insert(name.end(), domain.begin() + static_cast<std::ptrdiff_t>(at), domain.begin() + static_cast<std::ptrdiff_t>(dot));
      at = dot + 1;
    }
    if (!good || out.size() + name.size() > 512) continue;
    name.push_back(0);
    out.insert(out.end(), name.begin(), name.end());
  }
  return out;
}

void put_route(Bytes& out, const Route& r) {
  out.push_back(static_cast<std::uint8_t>(r.prefix));
  for (unsigned i = 0; i < (r.prefix + 7) / 8; ++i) out.push_back(static_cast<std::uint8_t>(r.destination >> (24 - 8 * i)));
  put32(out, r.gateway);
}

void put_configuration(Bytes& out, const Lease& l) {
  put_option(out, kMask, bytes_of(mask_of(l.prefix)));
  put_option(out, kBroadcast, bytes_of(l.ip | ~mask_of(l.prefix)));
  if (l.gateway) put_option(out, kRouter, bytes_of(l.gateway));
  Bytes dns;
  for (Ip ip : l.dns) put32(dns, ip);
  put_option(out, kDns, dns);
  if (!l.hostname.empty() && l.hostname.size() <= 253) put_option(out, kHostname, bytes_of(l.hostname));
  if (l.mtu >= 68 && l.mtu <= 65535)
    put_option(out, kMtu, {static_cast<std::uint8_t>(l.mtu >> 8), static_cast<std::uint8_t>(l.mtu)});
  if (!l.search.empty() && l.search[0].size() <= 253) put_option(out, kDomain, bytes_of(l.search[0]));
  put_option(out, kSearch, encode_search(l.search));
  Bytes ntp;
  for (Ip ip : l.ntp) put32(ntp, ip);
  put_option(out, kNtp, ntp);
  put_option(out, kTftpServer, bytes_of(l.tftp_server));
  put_option(out, kBootFile, bytes_of(l.boot_file));
  for (auto& [code, value] : l.private_options)
    if (code >= 224 && code <= 254) put_option(out, code, bytes_of(value));
  if (!l.routes.empty()) {
    // A client that knows this option ignores the router option, so the default route is repeated here.
    Bytes routes;
    for (auto& r : l.routes) put_route(routes, r);
    if (l.gateway) put_route(routes, {0, 0, l.gateway});
    put_option(out, kRoutes, routes);
  }
}

}  // namespace

Result<Mac> parse_mac(std::string_view text) {
  Mac mac{};
  std::size_t at = 0;
  for (std::size_t i = 0; i < 6; ++i, at += 3) {
    bool last = i == 5;
    if (text.size() < at + 2 || (!last && (text.size() < at + 3 || (text[at + 2] != ':' && text[at + 2] != '-'))))
      return Error(Code::InvalidArgument, fmt::format("\"{}\" is no MAC address", text));
    auto [end, failed] = std::from_chars(text.data() + at, text.data() + at + 2, mac[i], 16);
    if (failed != std::errc() || end != text.data() + at + 2)
      return Error(Code::InvalidArgument, fmt::format("\"{}\" is no MAC address", text));
  }
  if (text.size() != 17) return Error(Code::InvalidArgument, fmt::format("\"{}\" is no MAC address", text));
  return mac;
}

Result<Ip> parse_ip(std::string_view text) {
  in_addr a{};
  if (inet_pton(AF_INET, std::string(text).c_str(), &a) != 1)
    return Error(Code::InvalidArgument, fmt::format("\"{}\" is no IPv4 address", text));
  return ntohl(a.s_addr);
}

std::string format_ip(Ip ip) { return fmt::format("{}.{}.{}.{}", ip >> 24, ip >> 16 & 255, ip >> 8 & 255, ip & 255); }

Result<Route> parse_route(std::string_view destination, std::string_view gateway) {
  Route r;
  auto slash = destination.find('/');
  NV_TRY(r.destination, parse_ip(destination.substr(0, slash)));
  r.prefix = 32;
  if (slash != std::string_view::npos) {
    auto text = destination.substr(slash + 1);
    auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), r.prefix);
    if (failed != std::errc() || end != text.data() + text.size() || r.prefix > 32)
      return Error(Code::InvalidArgument, fmt::format("\"{}\" is no IPv4 network", destination));
  }
  NV_TRY(r.gateway, parse_ip(gateway));
  return r;
}

Result<Request> parse_request(std::span<const std::uint8_t> b) {
  if (b.size() < kFixed + 4) return Error(Code::InvalidArgument, "the DHCP message is too short");
  if (b[0] != 1 || b[1] != 1 || b[2] != 6) return Error(Code::InvalidArgument, "no BOOTREQUEST from an Ethernet client");
  if (!std::equal(std::begin(kCookie), std::end(kCookie), b.begin() + kFixed))
    return Error(Code::InvalidArgument, "the DHCP cookie is missing");
  Request r;
  r.xid = read32(b, 4);
  r.seconds = static_cast<std::uint16_t>(b[8] << 8 | b[9]);
  r.flags = static_cast<std::uint16_t>(b[10] << 8 | b[11]);
  r.client_ip = read32(b, 12);
  r.relay_ip = read32(b, 24);
  std::copy_n(b.begin() + 28, 16, r.hardware.begin());
  std::copy_n(b.begin() + 28, 6, r.mac.begin());
  for (std::size_t at = kFixed + 4; at < b.size();) {
    std::uint8_t code = b[at++];
    if (code == kPad) continue;
    if (code == kEnd) break;
    if (at >= b.size() || at + 1 + b[at] > b.size()) return Error(Code::InvalidArgument, "a DHCP option is cut off");
    std::size_t n = b[at++];
    auto value = b.subspan(at, n);
    at += n;
    if (code == kMessageType && n == 1 && value[0] <= 8) r.type = static_cast<Type>(value[0]);
    else if (code == kRequestedIp && n == 4) r.requested_ip = read32(value, 0);
    else if (code == kServerId && n == 4) r.server_id = read32(value, 0);
  }
  if (r.type == Type::None) return Error(Code::InvalidArgument, "the DHCP message has no type");
  return r;
}

std::optional<std::vector<std::uint8_t>> build_reply(const Request& q, const Lease& l) {
  if (q.mac != l.mac || q.relay_ip != 0) return std::nullopt;
  Type type = Type::None;
  if (q.type == Type::Discover) type = Type::Offer;
  else if (q.type == Type::Inform) type = Type::Ack;
  else if (q.type == Type::Request) {
    if (q.server_id && *q.server_id != l.gateway) return std::nullopt;  // it chose another server
    Ip wanted = q.requested_ip.value_or(q.client_ip);
    type = wanted == l.ip ? Type::Ack : Type::Nak;
  }
  if (type == Type::None) return std::nullopt;

  Bytes out = {2, 1, 6, 0};
  put32(out, q.xid);
  out.insert(out.end(), {static_cast<std::uint8_t>(q.seconds >> 8), static_cast<std::uint8_t>(q.seconds),
                         static_cast<std::uint8_t>(q.flags >> 8), static_cast<std::uint8_t>(q.flags)});
  put32(out, type == Type::Nak ? 0 : q.client_ip);
  put32(out, type == Type::Nak || q.type == Type::Inform ? 0 : l.ip);
  put32(out, l.gateway);
  put32(out, 0);
  out.insert(out.end(), q.hardware.begin(), q.hardware.end());
  out.resize(kFixed);  // no server name, no boot file
  out.insert(out.end(), std::begin(kCookie), std::end(kCookie));
  put_option(out, kMessageType, {static_cast<std::uint8_t>(type)});
  put_option(out, kServerId, bytes_of(l.gateway));
  if (type != Type::Nak) {
    if (q.type != Type::Inform) put_option(out, kLeaseTime, bytes_of(0xffffffffu));
    put_configuration(out, l);
  }
  out.push_back(kEnd);
  if (out.size() < kMinReply) out.resize(kMinReply);
  return out;
}

}  // namespace nodevirt::virt_launcher::dhcp
