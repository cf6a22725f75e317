// In post-copy a guest is in two pods at once: whether the one on the other node is known to be no more.
#pragma once
#include <string>

#include "pkg/base/clock.hpp"
#include "pkg/client/client.hpp"

namespace nodevirt::virt_handler::migration {

/// A node whose virt-handler has not beaten for so long counts as dead, as for virt-controller.
inline constexpr std::chrono::minutes kDeadNode{5};

/// What became of that pod, to follow "node NODE, "; empty when it may still be there. A node that is silent for less than
/// kDeadNode proves nothing. Errors only of the API server's.
Awaitable<Result<std::string>> why_gone(client::Client client, std::string ns, std::string pod, std::string node, Clock::WallTime now);

/// Of the node as it is stored. Pure.
bool node_is_dead(const Json& node, Clock::WallTime now);

}  // namespace nodevirt::virt_handler::migration
