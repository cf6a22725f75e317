#include "virtctl/commands/ports.hpp"

#include <charconv>

namespace nodevirt::virtctl {

namespace {

std::optional<std::uint16_t> port_of(std::string_view text) {
  std::uint16_t port = 0;
  auto* end = text.data() + text.size();
  auto parsed = std::from_chars(text.data(), end, port);
  if (text.empty() || parsed.ec != std::errc{} || parsed.ptr != end) return std::nullopt;
  return port;
}

}  // namespace

Result<PortPair> parse_ports(const std::string& text) {
  std::string_view rest = text;
  if (auto slash = rest.find('/'); slash != std::string_view::npos) {
    if (rest.substr(0, slash) != "tcp")
      return Error(Code::InvalidArgument, fmt::format("{}: only tcp is forwarded; expected [tcp/]LOCAL[:TARGET]", text));
    rest.remove_prefix(slash + 1);
  }
  auto colon = rest.find(':');
  auto local = port_of(rest.substr(0, colon));
  auto target = colon == std::string_view::npos ? local : port_of(rest.substr(colon + 1));
  if (!local || !target || *target == 0)
    return Error(Code::InvalidArgument, fmt::format("{}: expected [tcp/]LOCAL[:TARGET], ports from 1 to 65535", text));
  return PortPair{*local, *target};
}

Result<Place> parse_place(const std::string& text) {
  auto first = text.find('/');
  auto second = first == std::string::npos ? first : text.find('/', first + 1);
  std::string head = text.substr(0, second);
  NV_TRY(Target target, parse_target({head}, Kind::VirtualMachineInstance));
  Place place{target.kind, target.name, second == std::string::npos ? "" : text.substr(second + 1)};
  if (place.ns.find('/') != std::string::npos || (second != std::string::npos && place.ns.empty()))
    return Error(Code::InvalidArgument, fmt::format("{}: expected TYPE/NAME[/NAMESPACE]", text));
  return place;
}

Remote parse_remote(const std::string& text) {
  Remote remote;
  std::string rest = text;
  auto colon = rest.find(':');
  auto at = rest.find('@');
  // "./a:b" and "/a" are files; a place has no slash before its type.
  remote.local = colon == std::string::npos && (rest.starts_with("/") || rest.starts_with(".") || rest.find('/') == std::string::npos);
  if (colon != std::string::npos) {
    remote.path = rest.substr(colon + 1);
    rest.resize(colon);
  }
  if (at != std::string::npos && at < rest.size()) {
    remote.user = rest.substr(0, at);
    rest = rest.substr(at + 1);
  }
  remote.place = rest;
  return remote;
}

}  // namespace nodevirt::virtctl
