#include "virt-controller/node/plan.hpp"

namespace nodevirt::virt_controller::node {

Plan plan(const Observation& seen) {
  Plan p;
  if (seen.heartbeat.empty()) return p;
  p.again = kRecheck;
  if (!heartbeat_is_stale(seen.heartbeat, seen.now)) return p;
  if (seen.unchanged < kFirstPatience) {
    p.again = kFirstPatience - seen.unchanged;
    return p;
  }
  p.stale = true;
  p.mark_unschedulable = seen.schedulable;
  return p;
}

}  // namespace nodevirt::virt_controller::node
