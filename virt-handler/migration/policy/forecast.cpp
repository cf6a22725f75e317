#include "virt-handler/migration/policy/forecast.hpp"

#include <algorithm>

namespace nodevirt::virt_handler::migration {

namespace {

constexpr int kMaxPasses = 2000;
constexpr double kMinPass = 0.01;       // seconds
constexpr double kShrinks = 0.999;      // what shrinks less than that does not get there
constexpr double kClose = 0.01;         // of what may be sent in the last step: near enough, bandwidth wavers more
constexpr double kShortest = 0.1;       // of the same: what is dirtied in the shortest pass is near enough, too, below that

constexpr double kEnoughPasses = 2, kEnoughSeconds = 0.5;

}  // namespace

Forecast forecast(const DirtyModel& model, const ForecastInput& in) {
  Forecast out;
  if (in.rate <= 0 || in.last_rate <= 0) return out;
  double allowed = in.downtime * in.last_rate, remaining = std::max(in.remaining, 0.0), time = 0;
  double pass = std::max(in.pass_seconds, 0.0), before = 0;
  // Passes get no shorter than kMinPass: with a guest that writes a third of what is sent the rest would stay above the limit
  // for ever in this arithmetic, and does not in QEMU.
  double near = kClose * allowed, found_in_shortest = model.dirtied(kMinPass, in.throttle) * (1 + kClose);
  if (found_in_shortest < in.rate * kMinPass) near = std::max(near, std::min(found_in_shortest, kShortest * allowed));
  double set = model.working_set() > 0 ? model.working_set() : model.memory();
  for (int i = 0; i < kMaxPasses; ++i) {
    double left = std::max(remaining - allowed, 0.0) / in.rate;
    time += left;
    pass = std::max(pass + left, kMinPass);
    double waits = std::min(remaining, allowed);
    double found = model.dirtied(pass, in.throttle) * (1 - std::min(waits / set, 1.0));
    remaining = waits + found;
    out.downtime = remaining / in.last_rate;
    if (remaining <= allowed + near) {
      out.downtime = std::min(remaining, allowed) / in.last_rate;
      out.end = time + out.downtime;
      return out;
    }
    double over = remaining - allowed;
    if (i > 1 && over > before * kShrinks) {
      // As it would be with a whole pass each time.
      out.downtime = std::max(remaining, model.dirtied(remaining / in.rate, in.throttle)) / in.last_rate;
      return out;
    }
    before = over;
    pass = 0;
  }
  return out;
}

std::optional<std::uint32_t> needed_throttle(const DirtyModel& model, ForecastInput in, std::uint32_t ceiling) {
  if (in.rate <= 0) return std::nullopt;
  bool some = false;
  double enough = kEnoughPasses * in.remaining / in.rate + kEnoughSeconds;
  for (std::uint32_t percent = 5;; percent += 5) {
    percent = std::min(percent, ceiling);
    in.throttle = percent / 100.0;
    Forecast f = forecast(model, in);
    if (f.end && *f.end <= enough) return percent;
    if (f.end) some = true;
    if (percent >= ceiling) break;
  }
  return some ? std::optional(ceiling) : std::nullopt;
}

}  // namespace nodevirt::virt_handler::migration
