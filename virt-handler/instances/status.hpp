// What an instance's status is to say, and which events its change is worth. Pure.
#pragma once
#include <string>
#include <vector>

#include "pkg/base/json.hpp"
#include "virt-handler/instances/plan.hpp"

namespace nodevirt::virt_handler {

struct StatusInput {
  const Observation& seen;
  const Json& object;                    ///< the instance as stored
  std::string node;
  std::optional<Error> sync_error;       ///< of this reconcile
  bool synced = false;                   ///< this reconcile's Sync went well
  bool pod_confirmed_gone = false;
  bool kvm = false;
  std::vector<launcher::v1::InterfaceOptions> interfaces;
  const launcher::v1::GuestInfo* guest = nullptr;
};

struct EventText {
  std::string type, reason, message;
  friend bool operator==(const EventText&, const EventText&) = default;
};

struct StatusOutcome {
  Json status;                     ///< the whole new status; what we do not own is as it was
  std::vector<EventText> events;   ///< to send once the status is written
};

StatusOutcome compute_status(const StatusInput& in);

struct PhaseOutcome { std::string phase, reason, message; };
/// The phase that follows from what was seen; `phase` is the old one when nothing changes.
PhaseOutcome next_phase(const StatusInput& in);

/// JSON patch from one status to another: for each changed member a test of its old value, then the change;
/// the uid is tested too. Empty when nothing changed.
Json status_patch(const Json& object, const Json& new_status);

/// Names that the disks have in the guest (vda, sdb ...), in the order of spec.domain.devices.disks.
std::vector<std::string> disk_targets(const api::Instance& vmi);

/// Why it cannot be migrated live.
struct Migratable { bool possible = true; std::string reason, message; };
/// `object`: the instance as stored; its status knows the claims and which of them are being moved.
Migratable live_migratable(const api::Instance& vmi, const Json& object);
/// The same but for the disks: may its volumes be moved to other claims (condition StorageLiveMigratable)?
Migratable storage_live_migratable(const api::Instance& vmi);
/// A migration copies disks, besides the memory.
bool copies_disks(const api::Instance& vmi, const Json& object);

}  // namespace nodevirt::virt_handler
