// The convergence policy of a live migration: what to do next, and what will become of it. A pure state machine over
// the job's samples; it does no I/O, knows no clock but the one it is handed, and never throws.
//
// What it guarantees
// - The guest is not slowed down where plain pre-copy ends in good time, and never beyond the owner's ceiling.
// - The downtime limit follows the predicted last step and never means more than maxDowntimeMs of real time, except
//   where workload disruption is allowed and the guest is paused for good reason.
// - The switch-over is taken as soon as the predicted last step fits; a few percent of the time so far may be spent
//   on a shorter outage while the migration still gains ground.
// - Nothing is done to a migration in post-copy: giving it up would lose the guest.
// - A migration is given up only in pre-copy or paused, with the guest on the source as it was.
// - Samples may be missing, late, repeated, out of order or of a job that began anew.
//
// How it is used, by one caller at a time: `start()` before the job (its values go into MigrateRequest), `step()` for
// every sample and at each iteration's begin, `tick()` at least every 5 s without one, `failed()` when an action
// could not be carried out. Actions are to be carried out in their order.
#pragma once
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "api/migration_config.hpp"
#include "pkg/base/clock.hpp"

namespace nodevirt::virt_handler::migration {

struct Settings {
  api::MigrationConfig config;
  std::uint64_t memory_bytes = 0;               ///< the guest's
  std::uint64_t copied_disk_bytes = 0;          ///< sizes of the disks that come along
  bool post_copy_possible = false;              ///< userfaultfd on the target, no device that forbids it
  /// Bytes per second that the guest dirtied before the job (GetDirtyRate over 1 s). 0: not known.
  std::uint64_t dirty_rate_before = 0;
  /// What the link carries when nothing caps it (measured before, or the interface's speed). 0: not known.
  std::uint64_t link_bytes_per_second = 0;
  /// How long plain pre-copy may take in all before the guest is slowed down instead, where that is allowed.
  std::uint64_t patience_s = 120;
};

/// One look at the job: the proto's MigrationSample, field by field.
struct Sample {
  std::uint64_t taken_at_ms = 0;                ///< Unix time; only differences count
  std::uint64_t elapsed_ms = 0;                 ///< of the job
  std::uint64_t setup_ms = 0;
  std::uint32_t iteration = 0;                  ///< 0 before the first pass over the memory
  std::uint64_t memory_total = 0, memory_processed = 0, memory_remaining = 0;   ///< bytes
  std::uint64_t bandwidth = 0;                  ///< bytes per second, QEMU's
  std::uint64_t dirty_rate = 0;                 ///< bytes per second, QEMU's; 0 in the first iteration
  std::uint64_t expected_downtime_ms = 0;       ///< QEMU's own estimate
  std::uint32_t throttle_percent = 0;
  std::uint64_t constant_pages = 0, normal_pages = 0, page_size = 0;
  std::uint64_t post_copy_requests = 0;
  std::uint64_t disk_total = 0, disk_processed = 0, disk_remaining = 0;         ///< bytes
  bool completed = false;                       ///< the final one
  std::uint64_t downtime_ms = 0;                ///< of the final one
};

enum class ActionKind {
  SetDowntimeLimit,     ///< `value` ms
  SetBandwidth,         ///< `value` MiB/s, 0: unlimited
  SetThrottle,          ///< initial, increment, maximum, trigger; all four at once
  StartPostCopy,
  PauseGuest,           ///< the memory comes to rest; the guest goes on at the target
  Abort,                ///< give up; the guest stays on the source
};
std::string_view to_string(ActionKind kind);

/// QEMU's four numbers. The trigger is QMP's throttle-trigger-threshold: a pass counts against the guest when it
/// dirtied more than so many percent of what was sent; QEMU throttles at every second such pass.
struct Throttle {
  std::uint32_t initial_percent = 1;      ///< 1 to 99
  std::uint32_t increment_percent = 1;    ///< 1 to 99
  std::uint32_t maximum_percent = 99;     ///< 1 to 99
  std::uint32_t trigger_percent = 50;     ///< 1 to 100
  friend bool operator==(const Throttle&, const Throttle&) = default;
};

struct Action {
  ActionKind kind = ActionKind::SetDowntimeLimit;
  std::uint64_t value = 0;
  Throttle throttle;                      ///< of SetThrottle
  std::string reason;                     ///< for a person; of Abort also the migration's failureReason
  friend bool operator==(const Action&, const Action&) = default;
};

struct Prediction {
  bool converges = false;                 ///< as things stand (with the throttle, limits and means now in force)
  std::optional<double> end_s;            ///< from now until the guest runs on the target; nothing: never
  double downtime_ms = 0;                 ///< of the last step as it is expected; when it never ends: as it would be now
  std::string obstacle;                   ///< what is in the way; empty when nothing is
};

enum class Mode { PreCopy, PostCopy, Paused };
std::string_view to_string(Mode mode);    ///< as in migrationState.mode

/// What people, status and metrics are told besides the prediction.
struct Measures {
  std::uint64_t bandwidth = 0;            ///< bytes per second, smoothed; of the disks while these are copied
  std::uint64_t uncapped_bandwidth = 0;   ///< what the last step runs at; 0: not known
  std::uint64_t dirty_rate = 0;           ///< bytes per second: what the guest writes, at its present speed
  std::uint64_t working_set = 0;          ///< bytes that it writes again and again; 0: not known
  std::uint64_t downtime_limit_ms = 0;    ///< as set, in terms of the measured bandwidth
  std::uint64_t best_remaining = 0;       ///< at an iteration's begin, bytes; 0: not known
  std::uint32_t throttle_percent = 0;
  bool stalled = false;
};

struct Decision {
  std::vector<Action> actions;            ///< empty: go on
  std::string explanation;                ///< one or two sentences for a person, with numbers
  Prediction prediction;
  Measures measures;
  Mode mode = Mode::PreCopy;
};

/// Values for MigrateRequest.
struct StartPlan {
  bool auto_converge = false;
  bool allow_post_copy = false;           ///< allowed and possible
  std::uint64_t downtime_limit_ms = 0;
  std::uint64_t bandwidth_mib_per_second = 0;
  Throttle throttle;
  std::uint32_t sample_interval_ms = 200;
};

class Policy {
 public:
  explicit Policy(Settings settings);
  ~Policy();
  Policy(Policy&&) noexcept;
  Policy& operator=(Policy&&) noexcept;

  StartPlan start() const;
  Decision step(const Sample& sample, Clock::Time now);
  /// Time passed without a sample.
  Decision tick(Clock::Time now);
  /// Until `now` the caller itself stood still for so long (its node slept, or somebody stopped it): what it did not hear then is no silence.
  void stood_still(Clock::Duration time, Clock::Time now);
  /// Settings::dirty_rate_before, where it is known only now.
  void wrote_before(std::uint64_t bytes_per_second);
  /// `action` could not be carried out: what it would have changed is as it was, and it is tried again later.
  void failed(const Action& action, Clock::Time now);
  /// The job's own events, where they come before a sample tells.
  void post_copy_began();
  /// The guest is suspended for the last step: nothing more is steered. (When it runs on here after all, the job ends.)
  void switch_over_began();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace nodevirt::virt_handler::migration
