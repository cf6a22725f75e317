// When a node counts as dead. Pure.
#pragma once
#include "pkg/base/clock.hpp"

namespace nodevirt::virt_controller::node {

/// virt-handler beats every one to two minutes.
inline constexpr std::chrono::minutes kHeartbeatLimit{5};

/// Whether a heartbeat (RFC 3339, as in the annotation) is older than the limit; a node that has never had
/// one is not dead: nothing of ours runs there. A heartbeat of the future counts as fresh.
bool heartbeat_is_stale(const std::string& heartbeat, Clock::WallTime now);

}  // namespace nodevirt::virt_controller::node
