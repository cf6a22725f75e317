// Volumes of a machine that runs: spec.updateVolumesStrategy Migration moves it to other claims. Pure.
//
// The instance's spec names the new claims as soon as the move is agreed on, so that the next migration's target pod
// has them; what the guest really uses then stands in status.migratedVolumes, until the migration's target removes
// that together with the guest's arrival. A machine whose guest ended in between must not start from a copy that is
// not whole: it asks for a person (ManualRecoveryRequired).
#pragma once
#include <functional>

#include "virt-controller/objects.hpp"

namespace nodevirt::virt_controller::vm {

struct VolumesInput {
  const Json& machine;
  const Json& instance;                                       ///< its own, Running and not being deleted
  std::function<ClaimInformer::Ptr(const std::string&)> claim; ///< by name, of the machine's namespace
  /// Another machine or instance that uses the claim; empty: none.
  std::function<std::string(const std::string&)> other_user;
  Clock::WallTime now;
};

struct VolumesPlan {
  enum class Step {
    None,
    Record,      ///< into the machine's status first: `moving`
    Begin,       ///< patch the instance: migratedVolumes and the new claims
    Abort,       ///< patch the instance: the migration that copies is to end
    TakeBack,    ///< patch the instance: the claims are the old ones again
    Complain,    ///< patch the instance: VolumesChange says what is missing
  };
  Step step = Step::None;
  Json patch;            ///< for the instance
  Json moving;           ///< migratedVolumes: what is agreed on, or was; null: nothing
  std::string refused;   ///< why the volumes cannot be changed while the guest runs; a restart is required
};

VolumesPlan plan_volumes(const VolumesInput& in);

/// status.migratedVolumes; null when nothing moves.
Json migrated_volumes(const Json& instance);

/// Volumes that are not on the claim that the machine wants for them, as in migratedVolumes: from the claim that
/// holds the disk to the wanted one. What had not moved yet is where it was. null: every disk is where it is wanted.
Json left_behind(const Json& machine, const Json& instance);

/// The machine's volumes are those that the record (status.volumeUpdateState) had as sources, or its strategy is no
/// longer Migration: there is nothing left to be told of it.
bool move_is_settled(const Json& machine);
/// A move that was recorded has not been seen to end.
bool move_is_open(const Json& machine);
/// The copy had not ended when the instance did: VolumesChange is still True, and nobody settled it.
bool needs_recovery(const Json& machine);
/// The machine does not say yet what became of the move. Only the instance shows it, so it must not go before.
bool awaits_judgement(const Json& machine);

/// The template's volumes with the claims that are being moved taken for equal; for RestartRequired.
Json without_moved_claims(const Json& machine, Json template_spec);

}  // namespace nodevirt::virt_controller::vm
