#include "virt-controller/volume_move/plan.hpp"

#include <algorithm>

#include "virt-controller/evacuation/plan.hpp"

namespace nodevirt::virt_controller::volume_move {

Plan plan(const Observation& seen, Clock::WallTime now) {
  if (seen.phase != "Running" || seen.deleting || !seen.moves || !seen.migratable || seen.migrating || seen.living_pods > 1 || !seen.allowed) return {};
  Clock::Duration wait = evacuation::backoff(seen.failures);
  auto since = seen.failed_at ? std::max<Clock::Duration>(Clock::Duration::zero(), now - *seen.failed_at) : wait;
  if (since < wait) return {false, wait - since};
  return {true, {}};
}

bool may_migrate(const Json& kubevirt) {
  const Json* methods = find(kubevirt, {"spec", "workloadUpdateStrategy", "workloadUpdateMethods"});
  return !methods || !methods->is_array() || std::find(methods->begin(), methods->end(), "LiveMigrate") != methods->end();
}

}  // namespace nodevirt::virt_controller::volume_move
