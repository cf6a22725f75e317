#include "virt-controller/node/heartbeat.hpp"

namespace nodevirt::virt_controller::node {

bool heartbeat_is_stale(const std::string& heartbeat, Clock::WallTime now) {
  if (heartbeat.empty()) return false;
  auto beat = parse_time(heartbeat);
  return beat.ok() && now - *beat > kHeartbeatLimit;
}

}  // namespace nodevirt::virt_controller::node
