// From the effective settings and samples to the launcher's messages and back. Pure.
#pragma once
#include "api/migration_progress.hpp"
#include "api/proto/launcher.pb.h"
#include "virt-handler/instances/objects.hpp"
#include "virt-handler/migration/policy/policy.hpp"

namespace nodevirt::virt_handler::migration {

/// `stored`: the instance's JSON. `dirty_rate`: measured before, 0 when it was not.
Settings settings_of(const Json& stored, const api::Instance& vmi, const std::string& migration, const launcher::v1::PrepareTargetResponse& prepared,
                     std::uint64_t dirty_rate);

launcher::v1::MigrateRequest migrate_request(const Settings& settings, const StartPlan& plan, const api::Instance& vmi, const std::string& migration,
                                             const launcher::v1::DomainRequest& domain, const launcher::v1::PrepareTargetResponse& prepared);

Sample sample_of(const launcher::v1::MigrationSample& sample);

/// Nothing for an action that is no steering (Abort).
std::optional<launcher::v1::SteerRequest> steer_request(const Action& action, const std::string& migration, const launcher::v1::DomainRequest& domain);

/// `memory_bytes`: the guest's; it counts before QEMU tells how much there is.
api::MigrationProgress progress_of(const std::string& migration, const Sample& sample, const Decision& decision, std::uint64_t memory_bytes,
                                   Clock::WallTime now);

/// What we have seen of it ourselves: how long it took, where that is known, and how much its streams carried.
struct Took {
  std::optional<Clock::Duration> all, pause;
  std::uint64_t sent_bytes = 0;
};
/// The last word. `before`: the last one so far, if any; `end`: the finished job's sample, which may be empty.
api::MigrationProgress final_progress(const std::string& migration, const std::optional<api::MigrationProgress>& before, const Sample& end,
                                      const Took& took, Clock::WallTime now);

}  // namespace nodevirt::virt_handler::migration
