// The paths of virt-handler's port, as virt-api calls them.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>

#include "pkg/base/result.hpp"

namespace nodevirt::virt_handler {

enum class Action {
  Console, Vnc, VncScreenshot, PortForward, Pause, Unpause, Reset, SoftReboot, GuestOsInfo, UserList, FilesystemList,
};

struct Route {
  Action action = Action::Console;
  std::string ns, name;
  std::uint16_t port = 0;  ///< PortForward
  bool udp = false;
  std::string key() const { return ns + "/" + name; }
};

/// `path` is the decoded path. NotFound for what is served nowhere, Unimplemented (405) for the wrong
/// method, InvalidArgument for a bad port or protocol.
Result<Route> parse_route(std::string_view method, std::string_view path);

}  // namespace nodevirt::virt_handler
