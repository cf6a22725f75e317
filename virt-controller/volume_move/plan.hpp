// When an instance whose volumes are to move gets a migration. Pure.
#pragma once
#include <optional>
#include <string>

#include "pkg/base/clock.hpp"
#include "pkg/base/json.hpp"

namespace nodevirt::virt_controller::volume_move {

/// On the migrations that are made here; KubeVirt's name.
inline constexpr std::string_view kWorkloadUpdateAnnotation = "kubevirt.io/workloadUpdateMigration";

struct Observation {
  std::string phase;
  bool deleting = false;
  bool moves = false;                ///< status.migratedVolumes, and VolumesChange is True
  bool migratable = false;           ///< LiveMigratable is True
  bool migrating = false;            ///< it has an unfinished migration, of whomever
  int living_pods = 1;
  int failures = 0;                  ///< attempts in a row that failed, the last ones
  std::optional<Clock::WallTime> failed_at;
  bool allowed = true;               ///< the cluster's workload update methods
};

struct Plan {
  bool migrate = false;
  std::optional<Clock::Duration> again;
};

Plan plan(const Observation& seen, Clock::WallTime now);

/// spec.workloadUpdateStrategy.workloadUpdateMethods of the KubeVirt object: LiveMigrate, where it names any.
bool may_migrate(const Json& kubevirt);

}  // namespace nodevirt::virt_controller::volume_move
