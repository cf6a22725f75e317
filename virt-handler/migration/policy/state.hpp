// The policy's state; parted from policy.hpp so that its decisions can stand in several files.
#pragma once
#include "virt-handler/migration/policy/forecast.hpp"
#include "virt-handler/migration/policy/job_view.hpp"
#include "virt-handler/migration/policy/policy.hpp"

namespace nodevirt::virt_handler::migration {

/// Of a last step, where nobody said otherwise: little enough that an idle guest hardly notices.
inline constexpr std::uint64_t kFirstLimitMs = 50;

/// What QEMU was told, as far as is known.
struct InForce {
  std::uint64_t limit_ms = 0;
  std::uint64_t bandwidth_mib = 0;      ///< 0: no cap
  Throttle throttle;
};

struct Policy::State {
  explicit State(Settings s);

  // decisions
  Decision decide(const Sample& sample, Clock::Time now);
  Decision on_time(Clock::Time now);
  void before_second_pass(Decision& d, double elapsed);
  void pre_copy(Decision& d);
  void switch_over(Decision& d);        ///< the downtime limit
  void try_uncapped(Decision& d);       ///< what the link carries without the cap
  void slow_down(Decision& d);
  void force_end(Decision& d);          ///< post-copy or pause, where prediction says that nothing else will do
  void timeouts(Decision& d, double elapsed);
  void paused(Decision& d, double elapsed);

  // what they share
  void act(Decision& d, Action action);
  void set_limit(Decision& d, double ms, std::string reason);
  void set_throttle(Decision& d, Throttle t, std::string reason);
  void abort(Decision& d, std::string reason);
  bool begin_post_copy(Decision& d, const std::string& reason);
  void pause(Decision& d, const std::string& reason);
  void finish(Decision& d);             ///< measures, mode
  void predict(Decision& d);
  Forecast play(double throttle, const DirtyModel& model) const;
  void doubt_promises(std::uint32_t throttle);
  /// Seconds by which plain pre-copy should have ended, from the job's begin.
  double horizon() const;
  /// Seconds; 0: no limit.
  double acceptable() const;
  bool auto_converge() const;
  bool post_copy_usable() const;
  bool capped() const;                  ///< the cap is what holds the job back
  double rate() const;                  ///< bytes per second, smoothed
  double last_rate() const;             ///< of the last step
  double last_step() const;             ///< seconds, with what remains now
  double max_downtime() const;          ///< seconds
  double wanted_limit() const;          ///< seconds of the last step that are worth waiting for
  double limit_cap_ms() const;          ///< what stands for max_downtime in QEMU's own terms

  Settings settings;
  JobView job;
  InForce now_in_force;
  Mode mode = Mode::PreCopy;
  bool done = false;
  bool given_up = false;
  bool switching = false;               ///< the guest is suspended for the last step
  std::optional<Clock::Time> sampled_at, began_at;
  Decision last_decision;

  double uncapped = 0;                  ///< bytes per second; 0: not known
  double probe_began = -1;              ///< seconds of the job; -1: none under way
  double probe_next = 0;
  std::uint32_t probes = 0;
  double tuning_at = -1e9;              ///< of KubeVirt's ramp
  std::uint32_t tuning_step = 0;
  std::uint32_t planned_throttle = 0;   ///< percent; 0: none
  std::uint32_t throttle_seen = 0;      ///< percent, when throttled_at was set
  double throttled_at = -1;             ///< seconds of the job: the plan or what QEMU does changed; -1: never
  double good_since = -1;               ///< seconds of the job; -1: the forecast is not good
  double bad_since = -1;                ///< seconds of the job; -1: the forecast is good
  double promised = -1;                 ///< seconds of the job by which a forecast should have come true; -1: none
  std::uint32_t promised_at = 0;        ///< percent of throttle then
  double doubt = 1;                     ///< how much faster than it seems the guest is taken to write
  bool limit_settled = false;
  bool throttle_useless = false;
  std::uint32_t hopeless = 0;           ///< passes in a row that end with no way out
  double retry_at = 0;                  ///< post-copy and pausing, after a failure; seconds of the job
  std::uint32_t post_copy_failures = 0;
  double pause_deadline = 0;            ///< seconds of the job
  double soft_stop_at = -1;             ///< stallDetector's last try began; -1: not yet
  std::string note;                     ///< what is being done, for the explanation
};

}  // namespace nodevirt::virt_handler::migration
