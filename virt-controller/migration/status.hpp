// What a migration's status is to say, and what is written into its instance. Pure.
#pragma once
#include "api/migration_config.hpp"
#include "virt-controller/migration/plan.hpp"

namespace nodevirt::virt_controller::migration {

struct MigrationEvent {
  std::string type, reason, message;
  friend bool operator==(const MigrationEvent&, const MigrationEvent&) = default;
};

struct StatusInput {
  const Json& object;              ///< the migration as stored
  const Json* instance = nullptr;  ///< null when there is none
  const Observation& seen;
  const Plan& plan;
  bool done = true;                ///< the plan's step succeeded: its phase is entered
  std::string target_pod;          ///< its name, once it was made
  std::string quota;               ///< not empty: the namespace's quota refused the target pod, in these words
  Clock::WallTime now;
};

struct StatusOutcome {
  Json status;
  std::vector<MigrationEvent> events;
};

StatusOutcome compute_status(const StatusInput& in);

/// A new status.migrationState: source, target, configuration.
struct HandOverInput {
  const Json& instance;
  const Json& migration;
  PodInformer::Ptr target;
  std::string source_pod;          ///< its name
  api::MigrationConfig config;
};
/// The JSON patch on the instance: state, labels and annotations, tested against what was seen.
Json hand_over_patch(const HandOverInput& in);

/// migrationState.abortRequested, of this migration alone.
Json abort_patch(const Json& instance, const std::string& migration_uid);
/// The state becomes failed; an empty array when it is not this migration's, has begun or has ended.
Json take_back_patch(const Json& instance, const std::string& migration_uid, const std::string& reason, bool aborted, Clock::WallTime now);

/// Takes the target's node label off the instance, while its state is still this migration's.
Json clear_label_patch(const Json& instance, const std::string& migration_uid);

/// Reads the state out of an instance; `ours` is false for another migration's.
HandedOver handed_over(const Json& instance, const std::string& migration_uid);
/// The instance's state is of another migration, and has neither completed nor failed.
bool other_under_way(const Json& instance, const std::string& migration_uid);

}  // namespace nodevirt::virt_controller::migration
