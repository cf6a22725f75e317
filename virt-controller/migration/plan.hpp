// What to do next for one migration. Pure.
//
// A migration is virt-controller's until it has handed it over (it writes the instance's status.migrationState),
// and again from the moment that virt-handler says there completed or failed. In between the two virt-handlers
// decide, and all that is done here is to ask for an end (abortRequested). Before the source has begun
// (startTimestamp) virt-controller may still take the migration back: it writes `failed` and `abortRequested` itself,
// tested against the whole state that it saw. A source that writes startTimestamp later sees them in the answer.
#pragma once
#include <optional>
#include <string>

#include "virt-controller/objects.hpp"

namespace nodevirt::virt_controller::migration {

/// The instance's status.migrationState, as far as it is of this migration.
struct HandedOver {
  bool ours = false;            ///< its migrationUid is this migration's; else nothing below says anything
  bool target_ready = false, started = false, completed = false, failed = false, abort_requested = false;
  std::string failure_reason;
};

struct Observation {
  std::string phase;
  bool deleting = false, finalized = false;
  Clock::Duration in_phase{};                ///< since the phase was entered

  bool instance = false;                     ///< there is one of that name
  std::string instance_phase, instance_node;
  bool instance_deleting = false, refused = false;   ///< refused: LiveMigratable is False
  std::string refusal;                       ///< its reason and message
  HandedOver state;
  bool label_left = false;                   ///< the instance still carries our target node's label
  bool other_under_way = false;              ///< its migrationState is an unfinished one of another migration

  PodInformer::Ptr target;
  bool target_pending = false;               ///< made, and not yet shown by the watch
  bool outdated_target = false;              ///< it was made for other claims than the instance names now
  PodInformer::Ptr source;                   ///< the pod that was left, once the target has taken over
  bool rival = false;                        ///< another unfinished migration of the instance comes before it
  std::string obstacle;                      ///< of other nodes' processors, once no node took the target pod
  bool turn = false;                         ///< the queue lets it begin
  Clock::Duration unschedulable_limit{}, pending_limit{};

  bool final() const { return phase == "Succeeded" || phase == "Failed"; }
  bool instance_final() const { return instance_phase == "Succeeded" || instance_phase == "Failed"; }
  bool instance_runs() const { return instance_phase == "Running"; }
};

enum class Step {
  None,
  Initialize,        ///< finalizer and label
  CreateTarget,
  HandOver,          ///< status.migrationState of the instance
  RequestAbort,      ///< migrationState.abortRequested
  TakeBack,          ///< the server is asked; unless the migration has begun, its state becomes failed
  DeleteTarget,
  DeleteSource,      ///< after the target has taken over
  ClearLabel,        ///< kubevirt.io/migrationTargetNodeName of the instance
  RemoveFinalizer,
};

struct Plan {
  Step step = Step::None;
  std::string phase;                         ///< entered when the step succeeded; empty: it stays
  std::string reason;                        ///< why it failed
  std::optional<Clock::Duration> again;
};

/// KubeVirt's limits; annotations of the VMIM change them.
inline constexpr std::chrono::minutes kUnschedulableLimit{5};
inline constexpr std::chrono::minutes kPendingLimit{15};
/// For the target to be prepared, and for the source to begin.
inline constexpr std::chrono::minutes kPrepareLimit{5};
/// For so long what we wrote may be missing from the caches.
inline constexpr std::chrono::seconds kEcho{10};

Plan plan(const Observation& seen);

}  // namespace nodevirt::virt_controller::migration
