// What is done in which state of a pre-copy.
#include <algorithm>

#include <fmt/format.h>

#include "api/migration_progress.hpp"
#include "virt-handler/migration/policy/state.hpp"
#include "virt-handler/migration/policy/words.hpp"

namespace nodevirt::virt_handler::migration {

using api::format_rate;
using api::format_seconds;
using api::format_size;

namespace {

constexpr double kMiB = 1 << 20;
constexpr double kPatienceShare = 0.01;     // of the whole time, for a shorter outage
constexpr double kPatienceSeconds = 0.05;  // at least
constexpr double kPatienceCost = 0.7;       // seconds of the whole for a second of outage: what costs more costs a pass
constexpr double kSureSeconds = 1;           // a forecast that holds for so long is believed
constexpr double kKindness = 0.75;         // of the rate that was measured
constexpr double kShortShare = 0.4, kShortSeconds = 2;   // of the time so far
constexpr double kProbeSeconds = 0.5;       // without the cap
constexpr double kProbePause = 20;
constexpr std::uint32_t kMaxProbes = 3;

}  // namespace

void Policy::State::before_second_pass(Decision& d, double elapsed) {
  if (job.bandwidth().known() && !settings.config.downtime_tuning) switch_over(d);
  timeouts(d, elapsed);
}

void Policy::State::pre_copy(Decision& d) {
  note.clear();
  if (job.bandwidth().known()) {
    switch_over(d);
    try_uncapped(d);
    if (job.fresh() && job.model().known()) {
      slow_down(d);
      force_end(d);
    }
  }
  if (mode == Mode::PreCopy) timeouts(d, job.elapsed());
  if (planned_throttle > job.last().throttle_percent && note.empty())
    note = fmt::format("slowing the guest down by {} % at the next pass", planned_throttle);
}

void Policy::State::switch_over(Decision& d) {
  double cap = limit_cap_ms();
  // The rate changed: what was right would now mean a longer outage than is allowed.
  if (static_cast<double>(now_in_force.limit_ms) > 1.1 * cap && probe_began < 0)
    set_limit(d, cap, fmt::format("the link carries {} now", format_rate(last_rate())));
  if (auto& tuning = settings.config.downtime_tuning) {
    // KubeVirt's ramp: even steps, each after a pause.
    if (job.last().iteration < tuning->start_after_iteration || tuning_step >= tuning->steps ||
        job.elapsed() < tuning_at + tuning->cooldown_s)
      return;
    tuning_at = job.elapsed();
    ++tuning_step;
    double first = static_cast<double>(std::min(tuning->initial_ms, settings.config.max_downtime_ms));
    double limit = first + (max_downtime() * 1000 - first) * tuning_step / tuning->steps;
    set_limit(d, limit * cap / (max_downtime() * 1000), fmt::format("step {} of {}", tuning_step, tuning->steps));
    return;
  }
  if (!job.model().known()) return;
  double limit = wanted_limit() * 1000 * last_rate() / rate();
  double now = static_cast<double>(now_in_force.limit_ms);
  // Small corrections are not worth a call.
  if (limit < 1.15 * now && (now == 0 || limit > 0.7 * now)) return;
  // Lower only once, when it is known how the guest writes: time must not be spent twice on a shorter outage.
  if (limit < now && (limit_settled || !job.model().certain())) return;
  limit_settled = job.model().certain();
  set_limit(d, limit, fmt::format("a pause of {}, {} allowed", format_seconds(limit * rate() / last_rate() / 1000),
                                  format_seconds(max_downtime())));
}

double Policy::State::wanted_limit() const {
  double most = max_downtime(), least = std::min(static_cast<double>(kFirstLimitMs) / 1000, most);
  // A last step that is shorter by one byte costs that byte and what is dirtied while it is sent.
  if (job.throttle() > 0 || planned_throttle > 0) return most;    // it has been patient enough
  // As long as rate and working set cannot be told apart, it may write faster than it seems.
  double gains = rate() - job.model().write_rate() * (job.model().certain() ? 1 : 2);
  if (gains <= 0.01 * rate()) return most;
  double costs = 1 / gains - 1 / last_rate();     // seconds per byte
  if (costs * last_rate() > kPatienceCost) return most;
  double waits = job.remaining() + (job.fresh() ? 0 : job.model().dirtied(job.pass_seconds(), job.throttle()));
  double spend = std::max(kPatienceShare * (job.elapsed() + waits / rate()), kPatienceSeconds);
  return std::clamp(most - spend / costs / last_rate(), least, most);
}

void Policy::State::try_uncapped(Decision& d) {
  auto cap = settings.config.bandwidth_bytes_per_second;
  if (cap == 0) return;
  auto cap_mib = std::max<std::uint64_t>(1, cap >> 20);
  if (probe_began >= 0) {
    // Its window began anew with it; QEMU takes up to 0.1 s to notice.
    if (job.elapsed() < probe_began + kProbeSeconds) return;
    uncapped = std::max(uncapped, job.bandwidth().window());
    probe_began = -1;
    probe_next = job.elapsed() + kProbePause * probes;
    job.forget_bandwidth_window();
    now_in_force.bandwidth_mib = cap_mib;
    act(d, {ActionKind::SetBandwidth, cap_mib, {}, fmt::format("the link carries {}", format_rate(uncapped))});
    set_limit(d, std::min(static_cast<double>(now_in_force.limit_ms), limit_cap_ms()), "the cap is back");
    return;
  }
  if (now_in_force.bandwidth_mib != cap_mib) {
    now_in_force.bandwidth_mib = cap_mib;
    act(d, {ActionKind::SetBandwidth, cap_mib, {}, "the cap is to be kept"});
  }
  if (!job.fresh() || !capped() || probes >= kMaxProbes || job.elapsed() < probe_next) return;
  if (last_step() <= max_downtime() || !job.model().known() || play(job.throttle(), job.model()).end) return;
  // It would never end at the cap, but the last step runs without it: see what the link carries, with no more than
  // what that step needs.
  double needed = job.remaining() / max_downtime() * 1.3;
  if (uncapped > 0 && uncapped < needed / 1.3) return;      // known not to do
  double most = 8 * static_cast<double>(cap);
  if (needed > most) return;
  ++probes;
  probe_began = job.elapsed();
  job.forget_bandwidth_window();
  auto mib = static_cast<std::uint64_t>(needed / kMiB) + 1;
  now_in_force.bandwidth_mib = mib;
  set_limit(d, max_downtime() * 1000, "the last step runs without the cap");
  act(d, {ActionKind::SetBandwidth, mib, {},
          fmt::format("the last step fits at {}: looking whether the link carries it", format_rate(needed))});
  note = fmt::format("lifting the limit of {} for a moment to switch over", format_rate(static_cast<double>(cap)));
}

void Policy::State::slow_down(Decision& d) {
  if (!auto_converge()) return;
  auto ceiling = std::min<std::uint32_t>(settings.config.max_throttle_percent, 99);
  auto now = job.last().throttle_percent;
  Throttle calm{1, 1, ceiling, job.may_have_counted() || now > 0 ? 100u : 50u};
  auto ask = [&](const DirtyModel& model) {
    return needed_throttle(model, {.remaining = job.remaining(), .rate = rate(), .last_rate = last_rate(),
                                   .downtime = max_downtime()}, ceiling);
  };
  doubt_promises(now);
  DirtyModel model = job.model().faster(doubt);
  Forecast f = play(job.throttle(), model);
  // Where a short while will show, the guest gets the benefit of the doubt: it may write in the kinder of two ways that
  // look the same so far, and short passes tell rates with little precision.
  if (now == 0 && planned_throttle == 0 && !f.end)
    for (const DirtyModel& kind : {job.model().other().faster(doubt), model.faster(kKindness)}) {
      Forecast k = play(0, kind);
      if (!k.end || *k.end > kShortShare * job.elapsed() + kShortSeconds) continue;
      f = k;
      break;
    }
  if (f.end && promised < 0) promised = job.elapsed() + 1.3 * *f.end + 0.7;
  bool good = f.end && (now == 0 ? job.elapsed() + *f.end <= horizon()
                                 : *f.end <= 2.5 * job.remaining() / rate() + 1.5);
  if (good) {
    bad_since = -1;
    // A plan is dropped when it looks good for a while; passes can be short, and one is no while.
    if (good_since < 0) good_since = job.elapsed();
    if (planned_throttle > now && job.elapsed() < good_since + kSureSeconds) return;
    planned_throttle = 0;
    if (now == 0 && !job.model().certain()) {
      // It may write faster than it seems; then QEMU finds more than was sent, and takes this.
      if (auto careful = ask(model.faster(2))) calm.initial_percent = *careful;
      calm.trigger_percent = 100;
    }
    set_throttle(d, calm, now ? "slow enough" : "plain pre-copy ends in good time");
    return;
  }
  good_since = -1;
  if (bad_since < 0) bad_since = job.elapsed();
  // Passes shorter than that tell rates with little precision: a guest is not slowed down because of one of them.
  if (now == 0 && planned_throttle == 0 && job.last_pass_seconds() < kSureSeconds && job.elapsed() < bad_since + kSureSeconds) return;
  // What was asked for takes QEMU two passes of a second; what is asked for next should know what came of it.
  if (throttled_at >= 0 && now != throttle_seen) throttle_seen = now, throttled_at = job.elapsed();
  if (now > 0 && job.elapsed() < throttled_at + kSureSeconds) return;
  auto needed = ask(model);
  throttle_useless = !needed;
  if (!needed) {
    planned_throttle = 0;
    set_throttle(d, calm, "no slow-down that is allowed would help");
    return;
  }
  // Until QEMU took the plan, it only rises: short passes tell their rates with little precision.
  auto want = std::max(*needed, planned_throttle > now ? planned_throttle : 0);
  if (now > 0) want = std::min(std::max(want, now + 5), ceiling);
  if (want <= now) {
    planned_throttle = 0;
    set_throttle(d, calm, "as slow as is allowed");
    return;
  }
  if (planned_throttle < want) job.restart_progress();
  planned_throttle = want;
  throttle_seen = now;
  throttled_at = job.elapsed();
  // QEMU takes the initial value when it is not throttling yet, else the increment.
  Throttle t{want, std::max<std::uint32_t>(want - now, 1), ceiling, 1};
  set_throttle(d, t, fmt::format("writes {}, {} are sent: slowed down by {} % it would do",
                                 format_rate(job.model().write_rate() * (1 - job.throttle())), format_rate(rate()), want));
}

void Policy::State::doubt_promises(std::uint32_t throttle) {
  if (throttle != promised_at) {
    promised = -1;
    promised_at = throttle;
  }
  if (promised < 0 || job.elapsed() < promised) return;
  // It should be over by now. Pages that wait hide how fast they are written: take the guest for faster than it seems.
  doubt = std::min(doubt * (doubt > 1 ? 3 : 2), 64.0);
  promised = -1;
}

void Policy::State::force_end(Decision& d) {
  bool converging = auto_converge() && !throttle_useless && job.last().throttle_percent < settings.config.max_throttle_percent;
  Forecast f = play(std::max(job.throttle(), planned_throttle / 100.0), job.model().faster(doubt));
  bool in_time = f.end && (acceptable() == 0 || job.elapsed() + *f.end <= acceptable());
  if (in_time || (converging && planned_throttle > 0) || probe_began >= 0 || last_step() <= max_downtime()) {
    hopeless = 0;
    return;
  }
  ++hopeless;
  if (hopeless >= 2 && job.model().certain())
    begin_post_copy(d, obstacle({settings, job, last_rate(), last_step()}));
}

void Policy::State::timeouts(Decision& d, double elapsed) {
  // Post-copy was asked for and is to be asked for again; a failed call may even have begun it.
  if (post_copy_failures > 0 && post_copy_usable() && elapsed < retry_at) return;
  auto& c = settings.config;
  const api::StallDetectorConfig knobs = c.stall_detector.value_or(api::StallDetectorConfig{});
  double since = elapsed - job.last_progress();
  bool passes = job.last().iteration >= 2;
  auto why = [&] {
    if (passes && job.model().known()) return obstacle({settings, job, last_rate(), last_step()});
    if (job.before_memory()) return beginning({settings, job});
    return fmt::format("{} left", format_size(job.remaining()));
  };

  // Stalled: nothing gained over the window, and over some passes of whatever length.
  double window = std::max(static_cast<double>(knobs.stall_progress_timeout_s), 3 * job.last_pass_seconds());
  bool slowing = planned_throttle > job.last().throttle_percent;
  bool stalled = passes && since >= window && !slowing && last_step() > max_downtime();
  d.measures.stalled = stalled;
  bool at_best = !knobs.search_local_minima || job.best_remaining() == 0 ||
                 job.remaining() <= job.best_remaining() * (1 + knobs.stall_margin);
  bool bearable = acceptable() == 0 || last_step() <= acceptable();
  if (stalled) {
    if (begin_post_copy(d, why())) return;
    if (c.allow_workload_disruption && bearable) {
      if (at_best) pause(d, why());
      if (mode != Mode::PreCopy) return;
    } else if (c.stall_detector) {
      if (last_step() <= max_downtime() * knobs.precopy_possible_factor && soft_stop_at < 0 && at_best) {
        soft_stop_at = elapsed;
        set_limit(d, limit_cap_ms(), "the last try before giving up");
      }
      bool waiting = soft_stop_at < 0 ? last_step() <= max_downtime() * knobs.precopy_possible_factor
                                      : elapsed < soft_stop_at + static_cast<double>(knobs.switchover_timeout_s);
      if (!waiting && at_best)
        return abort(d, fmt::format("stalled: nothing gained for {}: {}", format_seconds(since), why()));
    }
  }

  // Out of time.
  double allowed = acceptable();
  if (allowed > 0 && elapsed > allowed && job.any()) {
    auto late = [&] { return fmt::format("not done within {}: {}", format_seconds(allowed), why()); };
    if (begin_post_copy(d, late())) return;
    if (c.allow_workload_disruption && bearable && job.last().iteration >= 1) return pause(d, late());
    Forecast f = passes && job.model().known() ? play(job.throttle(), job.model()) : Forecast{};
    bool nearly = f.end && elapsed + *f.end <= 1.1 * allowed && elapsed <= 1.1 * allowed;
    if (!nearly) return abort(d, late());
  }

  // No progress: a pass that takes longer than the timeout itself is none the worse for that.
  double patience = std::max(static_cast<double>(c.progress_timeout_s), 2 * job.last_pass_seconds());
  if (c.progress_timeout_s > 0 && since > patience) {
    if (begin_post_copy(d, why())) return;
    if (c.allow_workload_disruption && bearable && passes) return pause(d, why());
    return abort(d, fmt::format("nothing gained for {}: {}", format_seconds(since), why()));
  }
  if (stalled && note.empty() && mode == Mode::PreCopy) {
    note = fmt::format("stalled for {}", format_seconds(since));
    double ends = c.progress_timeout_s > 0 ? patience - since : allowed > 0 ? allowed - elapsed : 0;
    if (allowed > 0) ends = std::min(ends, allowed - elapsed);
    if (ends > 0) note += fmt::format(", given up in {} unless the guest writes less", format_seconds(ends));
  }
}

void Policy::State::paused(Decision& d, double elapsed) {
  if (elapsed > pause_deadline)
    abort(d, fmt::format("paused, and still not done after {}: {} left", format_seconds(elapsed),
                         format_size(job.remaining())));
}

}  // namespace nodevirt::virt_handler::migration
