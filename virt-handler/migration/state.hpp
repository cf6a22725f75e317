// What an instance's status says of its migration. Pure.
#pragma once
#include <optional>
#include <string>

#include "pkg/base/json.hpp"
#include "virt-handler/migration/handover/decision.hpp"

namespace nodevirt::virt_handler::migration {

/// status.migrationState, and the decision of its annotation where that is of the same migration.
struct MigrationState {
  std::string uid;
  std::string source_node, source_pod, target_node, target_pod;   ///< pods by name
  std::string target_address;                                      ///< HOST:PORT of the target's virt-handler
  std::string started, mode;
  bool completed = false, failed = false, abort_requested = false;
  bool target_detected = false;
  Owner owner = Owner::None;

  bool finished() const { return completed || failed; }
  /// The guest has moved: the target's virt-handler said so.
  bool moved() const { return completed && !failed; }
};

/// Nothing when the status has none, or one without an uid, nodes and pods (they become parts of paths and names).
std::optional<MigrationState> migration_of(const Json& vmi);

/// Where the guest is on this node: the name of its pod, empty when the migration says nothing of it.
std::string active_pod(const std::optional<MigrationState>& state, const std::string& node);

/// Nobody but the migration may conclude anything from the source's domain or do something to it.
bool source_is_held(const std::optional<MigrationState>& state, const std::string& node);

bool paused_by_user(const Json& vmi);

}  // namespace nodevirt::virt_handler::migration
