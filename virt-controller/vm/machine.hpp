// The decoded view of a VirtualMachine: what plan and status read. Its template stays raw.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "pkg/base/clock.hpp"
#include "pkg/base/json.hpp"

namespace nodevirt::virt_controller::vm {

enum class RunStrategy { Always, Halted, Manual, RerunOnFailure, Once, WaitAsReceiver };
std::string_view to_string(RunStrategy s);

struct ChangeRequest {
  std::string action;   ///< Start | Stop
  std::string uid;      ///< of the instance to stop
  bool paused = false;  ///< Start: the guest is to be left paused
};

struct StartFailure {
  std::int64_t count = 0;
  std::string last_uid;
  std::optional<Clock::WallTime> retry_after;
};

struct Machine {
  std::string ns, name, uid;
  std::int64_t generation = 0;
  bool deleting = false, orphaning = false, finalized = false;   ///< finalized: our finalizer is there
  bool by_running = false;                                       ///< spec.running is used, not runStrategy
  std::optional<RunStrategy> strategy;                           ///< none: it is wrong, see complaint
  std::string complaint;
  std::string recorded_strategy;                                 ///< status.runStrategy
  std::vector<ChangeRequest> requests;
  std::optional<StartFailure> failure;
  bool must_be_recovered = false;                                ///< its disks may be half a copy (volumes.hpp)

  bool start_requested() const { return !requests.empty() && requests[0].action == "Start"; }
  bool start_paused() const { return start_requested() && requests[0].paused; }
  /// A start that was asked for while the machine stood still by its owner's word; any other is older than that word.
  bool start_of_halted() const { return start_paused() && (recorded_strategy.empty() || recorded_strategy == "Halted"); }
  static Machine of(const Json& object);
};

/// What the machine's controller reads of the instance.
struct Instance {
  std::string uid, phase, owner;                ///< owner: uid of the controlling owner, may be empty
  bool deleting = false, ran = false, ready = false, paused = false;
  std::optional<std::int64_t> generation;       ///< annotation kubevirt.io/vm-generation
  std::string revision;

  bool final() const { return phase == "Succeeded" || phase == "Failed"; }
  /// It ended without ever having run, and not because somebody stopped it.
  bool failed_early() const { return final() && !ran && !(deleting && phase == "Succeeded"); }
  static Instance of(const Json& object);
};

/// The first request asks to stop this very instance.
bool stop_requested(const Machine& m, const Instance& i);
/// RerunOnFailure has just been chosen, or a start is asked for.
bool rerun_wants_start(const Machine& m);
/// The first request has been done, or cannot be done any more.
bool request_is_done(const Machine& m, const Instance* i);
/// Whether the machine is to run, as it stands.
bool is_set_to_start(const Machine& m, const Instance* i);
/// The time that is left of the crash back-off.
Clock::Duration backoff_left(const Machine& m, Clock::WallTime now);

}  // namespace nodevirt::virt_controller::vm
