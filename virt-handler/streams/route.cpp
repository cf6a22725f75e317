#include "virt-handler/streams/route.hpp"

#include <charconv>

#include <fmt/format.h>

namespace nodevirt::virt_handler {
namespace {

std::vector<std::string> split(std::string_view path) {
  std::vector<std::string> out;
  while (!path.empty() && out.size() < 16) {
    if (path.front() == '/') path.remove_prefix(1);
    std::size_t end = std::min(path.find('/'), path.size());
    out.emplace_back(path.substr(0, end));
    path.remove_prefix(end);
  }
  return out;
}

bool is_name(std::string_view text) {
  return !text.empty() && text.size() <= 253 &&
         text.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789-.") == std::string_view::npos;
}

struct Verb {
  std::string_view path, method;
  Action action;
};
constexpr Verb kVerbs[] = {
    {"console", "GET", Action::Console},           {"vnc", "GET", Action::Vnc},
    {"vnc/screenshot", "GET", Action::VncScreenshot}, {"pause", "PUT", Action::Pause},
    {"unpause", "PUT", Action::Unpause},           {"reset", "PUT", Action::Reset},
    {"softreboot", "PUT", Action::SoftReboot},     {"guestosinfo", "GET", Action::GuestOsInfo},
    {"userlist", "GET", Action::UserList},         {"filesystemlist", "GET", Action::FilesystemList},
};

Error wrong_method(std::string_view method) {
  return Error{Code::Unimplemented, "MethodNotAllowed", fmt::format("the method {} is not served here", method)};
}

Result<Route> parse_port_forward(Route route, const std::vector<std::string>& parts, std::string_view method) {
  if (method != "GET") return wrong_method(method);
  route.action = Action::PortForward;
  const std::string& digits = parts[6];
  unsigned port = 0;
  auto [end, ec] = std::from_chars(digits.data(), digits.data() + digits.size(), port);
  if (ec != std::errc{} || end != digits.data() + digits.size() || port < 1 || port > 65535)
    return Error{Code::InvalidArgument, "BadRequest", fmt::format("\"{}\" is no port: give a number from 1 to 65535", digits)};
  route.port = static_cast<std::uint16_t>(port);
  if (parts.size() == 8) {
    if (parts[7] != "tcp" && parts[7] != "udp")
      return Error{Code::InvalidArgument, "BadRequest", fmt::format("\"{}\" is no protocol: give tcp or udp", parts[7])};
    route.udp = parts[7] == "udp";
  }
  return route;
}

}  // namespace

Result<Route> parse_route(std::string_view method, std::string_view path) {
  std::vector<std::string> parts = split(path);
  Error nowhere{Code::NotFound, "NotFound", fmt::format("nothing is served at this path")};
  if (parts.size() < 6 || parts[0] != "v1" || parts[1] != "namespaces" || parts[3] != "virtualmachineinstances") return nowhere;
  if (!is_name(parts[2]) || !is_name(parts[4])) return nowhere;
  Route route;
  route.ns = parts[2];
  route.name = parts[4];
  if (parts[5] == "portforward" && (parts.size() == 7 || parts.size() == 8)) return parse_port_forward(route, parts, method);
  std::string rest = parts[5];
  for (std::size_t i = 6; i < parts.size(); ++i) rest += "/" + parts[i];
  for (const Verb& verb : kVerbs) {
    if (verb.path != rest) continue;
    if (verb.method != method) return wrong_method(method);
    route.action = verb.action;
    return route;
  }
  return nowhere;
}

}  // namespace nodevirt::virt_handler
