// What a VirtualMachine's status is to say. Pure.
#pragma once
#include <optional>

#include "virt-controller/vm/plan.hpp"

namespace nodevirt::virt_controller::vm {

struct StatusInput {
  const Json& object;                    ///< the machine as stored
  const Machine& machine;
  const Json* instance_object = nullptr; ///< its own instance; null when there is none
  const Instance* instance = nullptr;
  bool start_expected = false;           ///< created, not yet seen
  bool stop_expected = false;            ///< deleted, not yet seen
  bool claims_unbound = false;           ///< one of its claims exists and is not bound
  bool restart_required = false;         ///< the template is another than the one that runs
  std::string restart_reason;            ///< in other words than the usual ones; may be empty
  const Json* moving = nullptr;          ///< migratedVolumes that are to be recorded; null: what the instance says
  bool request_start = false;
  bool switched_on = false;              ///< spec became Always just now
  std::optional<Error> failure;          ///< of this reconcile
  Clock::WallTime now;
  double jitter = 0;                     ///< 0 .. 1, spreads crash back-offs
};

/// The whole new status; members that are not ours stay as they are.
Json compute_status(const StatusInput& in);

/// One word for people; the first that fits, in KubeVirt's order.
std::string printable_status(const StatusInput& in, bool backing_off);

/// Seconds to wait after the count-th failure in a row: 10, 40, 90, 160, 250, 300, each with up to a half more.
std::int64_t backoff_seconds(std::int64_t count, double jitter);

}  // namespace nodevirt::virt_controller::vm
