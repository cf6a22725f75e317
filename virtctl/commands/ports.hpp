// What port-forward, ssh and scp are asked for; pure.
#pragma once
#include "virtctl/session.hpp"

namespace nodevirt::virtctl {

/// A local port and the guest's.
struct PortPair {
  std::uint16_t local = 0, target = 0;
};
/// [tcp/]LOCAL[:TARGET]; LOCAL 0 is a free one.
Result<PortPair> parse_ports(const std::string& text);

/// TYPE/NAME[/NAMESPACE] or NAME, of an instance when no type is given.
struct Place {
  Kind kind = Kind::VirtualMachineInstance;
  std::string name, ns;  ///< no namespace: the session's
};
Result<Place> parse_place(const std::string& text);

/// [USER@]PLACE[:PATH] of ssh and scp. A path without a place is local.
struct Remote {
  std::string user, place, path;
  bool local = false;
};
Remote parse_remote(const std::string& text);

}  // namespace nodevirt::virtctl
