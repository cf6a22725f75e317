#include "virt-handler/migration/policy/policy.hpp"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "api/migration_progress.hpp"
#include "virt-handler/migration/policy/state.hpp"

namespace nodevirt::virt_handler::migration {

using api::format_seconds;

namespace {

std::uint64_t first_limit(const Settings& s) {
  auto wanted = s.config.downtime_tuning ? s.config.downtime_tuning->initial_ms : kFirstLimitMs;
  return std::clamp<std::uint64_t>(wanted, 1, s.config.max_downtime_ms);
}

std::uint64_t cap_mib(std::uint64_t bytes) {
  return bytes == 0 ? 0 : std::max<std::uint64_t>(1, bytes >> 20);
}

Throttle resting(const Settings& s) {
  return {1, 1, std::clamp<std::uint32_t>(s.config.max_throttle_percent, 1, 99), 50};
}

double in_seconds(Clock::Duration d) { return std::chrono::duration<double>(d).count(); }

}  // namespace

std::string_view to_string(ActionKind kind) {
  switch (kind) {
    case ActionKind::SetDowntimeLimit: return "SetDowntimeLimit";
    case ActionKind::SetBandwidth: return "SetBandwidth";
    case ActionKind::SetThrottle: return "SetThrottle";
    case ActionKind::StartPostCopy: return "StartPostCopy";
    case ActionKind::PauseGuest: return "PauseGuest";
    case ActionKind::Abort: return "Abort";
  }
  return "";
}

std::string_view to_string(Mode mode) {
  switch (mode) {
    case Mode::PreCopy: return "PreCopy";
    case Mode::PostCopy: return "PostCopy";
    case Mode::Paused: return "Paused";
  }
  return "";
}

Policy::Policy(Settings settings) : state_(std::make_unique<State>(std::move(settings))) {}
Policy::~Policy() = default;
Policy::Policy(Policy&&) noexcept = default;
Policy& Policy::operator=(Policy&&) noexcept = default;

Policy::State::State(Settings s) : settings(std::move(s)), job(settings) {
  settings.config.max_downtime_ms = std::clamp<std::uint64_t>(settings.config.max_downtime_ms, 1, 2'000'000);
  now_in_force = {first_limit(settings), cap_mib(settings.config.bandwidth_bytes_per_second), resting(settings)};
  uncapped = static_cast<double>(settings.link_bytes_per_second);
}

StartPlan Policy::start() const {
  auto& s = state_->settings;
  return {.auto_converge = state_->auto_converge(),
          .allow_post_copy = s.config.allow_post_copy && s.post_copy_possible,
          .downtime_limit_ms = first_limit(s),
          .bandwidth_mib_per_second = cap_mib(s.config.bandwidth_bytes_per_second),
          .throttle = resting(s)};
}

Decision Policy::step(const Sample& sample, Clock::Time now) { return state_->decide(sample, now); }
Decision Policy::tick(Clock::Time now) { return state_->on_time(now); }
void Policy::stood_still(Clock::Duration time, Clock::Time now) {
  for (auto* heard : {&state_->began_at, &state_->sampled_at})
    if (*heard) *heard = std::min(**heard + time, now);
}

void Policy::wrote_before(std::uint64_t bytes_per_second) {
  state_->settings.dirty_rate_before = bytes_per_second;
  state_->job.wrote_before(static_cast<double>(bytes_per_second));
}

void Policy::post_copy_began() { state_->mode = Mode::PostCopy; }
void Policy::switch_over_began() { state_->switching = true; }

void Policy::failed(const Action& action, Clock::Time) {
  State& s = *state_;
  switch (action.kind) {
    case ActionKind::SetDowntimeLimit: s.now_in_force.limit_ms = 0; break;       // unlike any: set again when needed
    case ActionKind::SetThrottle: s.now_in_force.throttle.trigger_percent = 0; break;
    case ActionKind::SetBandwidth:
      s.probe_began = -1;
      s.now_in_force.bandwidth_mib = UINT64_MAX;
      break;
    case ActionKind::StartPostCopy:
      if (s.mode == Mode::PostCopy) s.mode = Mode::PreCopy;
      ++s.post_copy_failures;
      s.retry_at = s.job.elapsed() + 5;
      break;
    case ActionKind::PauseGuest:
      if (s.mode == Mode::Paused) s.mode = Mode::PreCopy;
      s.retry_at = s.job.elapsed() + 5;
      break;
    case ActionKind::Abort: s.given_up = false; break;
  }
}

double Policy::State::acceptable() const {
  auto size = api::timeout_size(settings.memory_bytes, settings.copied_disk_bytes);
  return static_cast<double>(settings.config.completion_timeout_per_gib_s) * static_cast<double>(size);
}

double Policy::State::horizon() const {
  // A job whose first pass alone takes that long is no worse for taking a little longer.
  double first = job.first_pass_seconds();
  double out = std::max(static_cast<double>(settings.patience_s), 1.25 * first);
  return acceptable() > 0 ? std::min(out, acceptable()) : out;
}

bool Policy::State::auto_converge() const {
  return settings.config.allow_auto_converge && settings.config.max_throttle_percent > 0;
}

bool Policy::State::post_copy_usable() const {
  return settings.config.allow_post_copy && settings.post_copy_possible && post_copy_failures < 3;
}

double Policy::State::rate() const { return job.bandwidth().rate(); }

bool Policy::State::capped() const {
  auto cap = static_cast<double>(settings.config.bandwidth_bytes_per_second);
  return cap > 0 && rate() > 0.8 * cap;
}

double Policy::State::last_rate() const { return capped() ? std::max(uncapped, rate()) : rate(); }
double Policy::State::last_step() const { return last_rate() > 0 ? job.remaining() / last_rate() : 0; }
double Policy::State::max_downtime() const { return static_cast<double>(settings.config.max_downtime_ms) / 1000; }

double Policy::State::limit_cap_ms() const {
  // QEMU multiplies its limit with the rate that it measures; the last step runs without the cap.
  return rate() > 0 ? max_downtime() * 1000 * last_rate() / rate() : max_downtime() * 1000;
}

Forecast Policy::State::play(double throttle, const DirtyModel& model) const {
  return forecast(model, {.remaining = job.remaining(),
                                .pass_seconds = job.pass_seconds(),
                                .rate = rate(),
                                .last_rate = last_rate(),
                                .downtime = max_downtime(),
                                .throttle = throttle});
}

void Policy::State::act(Decision& d, Action action) { d.actions.push_back(std::move(action)); }

void Policy::State::set_limit(Decision& d, double ms, std::string reason) {
  auto value = static_cast<std::uint64_t>(std::clamp(ms, 1.0, 2'000'000.0));
  if (value == now_in_force.limit_ms) return;
  now_in_force.limit_ms = value;
  act(d, {ActionKind::SetDowntimeLimit, value, {}, std::move(reason)});
}

void Policy::State::set_throttle(Decision& d, Throttle t, std::string reason) {
  if (t == now_in_force.throttle) return;
  now_in_force.throttle = t;
  act(d, {ActionKind::SetThrottle, 0, t, std::move(reason)});
}

void Policy::State::abort(Decision& d, std::string reason) {
  if (given_up) return;
  given_up = true;
  d.actions.clear();
  note = "giving up, the guest stays where it is: " + reason;
  act(d, {ActionKind::Abort, 0, {}, std::move(reason)});
}

bool Policy::State::begin_post_copy(Decision& d, const std::string& reason) {
  if (!post_copy_usable() || job.last().iteration < 1 || job.elapsed() < retry_at) return false;
  mode = Mode::PostCopy;
  note = "the guest goes on at the target while its memory follows: " + reason;
  act(d, {ActionKind::StartPostCopy, 0, {}, reason});
  return true;
}

void Policy::State::pause(Decision& d, const std::string& reason) {
  if (job.elapsed() < retry_at) return;
  mode = Mode::Paused;
  pause_deadline = std::max(2 * acceptable(), job.elapsed() + 2 * last_step() + 10);
  note = fmt::format("the guest is paused for {}: {}", format_seconds(last_step()), reason);
  act(d, {ActionKind::PauseGuest, 0, {}, reason});
}

Decision Policy::State::decide(const Sample& sample, Clock::Time now) {
  if (!began_at) began_at = now;
  auto taken = job.take(sample);
  sampled_at = now;
  Decision d;
  if (taken == JobView::Taken::Dropped) {
    d = last_decision;
    d.actions.clear();
    return d;
  }
  // After post-copy there is no other job; whatever these figures are, the guest must not be given up.
  if (taken == JobView::Taken::Restarted && mode != Mode::PostCopy) {
    // A new job begins with what start() says; only the link is the same.
    State anew(settings);
    anew.uncapped = uncapped;
    anew.began_at = now;
    anew.sampled_at = now;
    anew.job.take(sample);
    *this = std::move(anew);
  }
  if (sample.completed) done = true;
  if (mode == Mode::PreCopy && sample.post_copy_requests > 0) mode = Mode::PostCopy;
  double elapsed = job.elapsed();
  if (done || given_up || switching) {
    // Nothing more to decide.
  } else if (mode == Mode::PostCopy) {
    // Giving up now would lose the guest.
  } else if (mode == Mode::Paused) {
    paused(d, elapsed);
  } else if (sample.iteration <= 1) {
    before_second_pass(d, elapsed);
  } else {
    pre_copy(d);
  }
  predict(d);
  finish(d);
  return d;
}

Decision Policy::State::on_time(Clock::Time now) {
  if (!began_at) began_at = now;
  Decision d;
  d.prediction = last_decision.prediction;
  double silent = in_seconds(now - sampled_at.value_or(*began_at));
  double elapsed = sampled_at ? job.elapsed() + std::max(silent, 0.0) : std::max(silent, 0.0);
  if (!done && !given_up && !switching && mode == Mode::PreCopy) timeouts(d, elapsed);
  else if (!done && !given_up && mode == Mode::Paused) paused(d, elapsed);
  d.explanation = given_up ? note
                  : silent > 3 ? fmt::format("the job has said nothing for {}", format_seconds(silent))
                               : last_decision.explanation;
  std::string said = d.explanation;
  finish(d);
  if (!said.empty()) d.explanation = last_decision.explanation = std::move(said);
  return d;
}

}  // namespace nodevirt::virt_handler::migration
