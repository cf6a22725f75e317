// Connections to a guest, made from inside its pod's network namespace.
#pragma once
#include <memory>
#include <string>

#include "pkg/net/byte_stream.hpp"

namespace nodevirt::virt_handler {

/// A TCP (or, for `udp`, a connected datagram) socket to the guest behind the pod of process `pid`.
/// Unavailable when the guest refuses, DeadlineExceeded after 10 s.
Awaitable<Result<std::shared_ptr<net::ByteStream>>> connect_guest(pid_t pid, std::string address, std::uint16_t port, bool udp);

}  // namespace nodevirt::virt_handler
