// What is expected of a job, and how it is told: when it ends, with what pause, or what is in the way.
#include <algorithm>

#include <fmt/format.h>

#include "api/migration_progress.hpp"
#include "virt-handler/migration/policy/state.hpp"
#include "virt-handler/migration/policy/words.hpp"

namespace nodevirt::virt_handler::migration {

using api::format_rate;
using api::format_seconds;
using api::format_size;

void Policy::State::finish(Decision& d) {
  auto whole = [](double v) { return static_cast<std::uint64_t>(std::clamp(v, 0.0, 1e18)); };
  auto& model = job.model();
  d.mode = mode;
  d.measures = {.bandwidth = whole(job.before_memory() ? job.disk_bandwidth().rate() : rate()),
                .uncapped_bandwidth = whole(capped() ? uncapped : rate()),
                .dirty_rate = model.known() ? whole(model.write_rate() * (1 - job.throttle())) : job.last().dirty_rate,
                .working_set = whole(model.working_set()),
                .downtime_limit_ms = now_in_force.limit_ms,
                .best_remaining = whole(job.best_remaining()),
                .throttle_percent = job.last().throttle_percent,
                .stalled = d.measures.stalled};
  last_decision = d;
  last_decision.actions.clear();
}

void Policy::State::predict(Decision& d) {
  auto& s = job.last();
  Facts facts{settings, job, last_rate(), last_step()};
  Prediction& p = d.prediction;
  double left = rate() > 0 ? job.remaining() / rate() : 0;
  if (done) {
    p = {true, 0.0, static_cast<double>(s.downtime_ms), ""};
    d.explanation = fmt::format("the memory is there; the guest stood still for {}",
                                format_seconds(static_cast<double>(s.downtime_ms) / 1000));
    return;
  }
  if (given_up) {
    d.explanation = note;
    return;
  }
  if (switching && mode == Mode::PreCopy) {
    p = {true, last_step(), last_step() * 1000, ""};
    d.explanation = "switching over: the guest stands still while the last of its memory is sent";
    return;
  }
  if (mode != Mode::PreCopy) {
    p.converges = true;
    if (rate() > 0) p.end_s = left;
    p.downtime_ms = mode == Mode::Paused ? left * 1000 : 0;
    d.explanation = note.empty() ? "the guest goes on at the target while its memory follows" : note;
    d.explanation += fmt::format("; {} left at {}", format_size(job.remaining()), format_rate(rate()));
    return;
  }
  if (s.iteration == 0 || !job.bandwidth().known()) {
    d.explanation = beginning(facts);
    p.converges = true;
    // The memory goes the same way as the disks; of its pages the empty ones cost nothing, but nobody knows which these are.
    double disks = s.iteration == 0 ? job.disk_bandwidth().rate() : 0;
    if (disks > 0) p.end_s = (static_cast<double>(s.disk_remaining) + static_cast<double>(settings.memory_bytes)) / disks;
    if (p.end_s) p.downtime_ms = static_cast<double>(now_in_force.limit_ms);
    return;
  }
  if (!job.model().known()) {
    // Nothing is known of the guest yet: it ends with this pass unless it writes.
    p = {true, left, static_cast<double>(now_in_force.limit_ms), ""};
    d.explanation = beginning(facts);
    return;
  }
  double throttle = std::max(job.throttle(), planned_throttle / 100.0);
  Forecast f = play(throttle, job.model().faster(doubt));
  p.converges = f.end.has_value();
  p.end_s = f.end;
  p.downtime_ms = f.downtime * 1000;
  if (s.iteration == 1) d.explanation = beginning(facts);
  else d.explanation = rates(facts);
  if (f.end && s.iteration > 1) {
    d.explanation += fmt::format(": ends in {} with a pause of {}", format_seconds(*f.end), format_seconds(f.downtime));
  } else if (!f.end) {
    facts.last_step = f.downtime;
    p.obstacle = obstacle(facts);
    if (s.iteration > 1) d.explanation = p.obstacle;
    else d.explanation += "; then " + p.obstacle;
  }
  if (!note.empty()) d.explanation += "; " + note;
}

}  // namespace nodevirt::virt_handler::migration
