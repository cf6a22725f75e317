// Who listens on a TCP port: for the message that says that it is taken.
#pragma once
#include <cstdint>
#include <string>

namespace nodevirt::net {

/// "NAME (pid N)", or empty when it cannot be found out (another user's process, another namespace).
std::string port_holder(std::uint16_t port);

}  // namespace nodevirt::net
