#include "virt-handler/migration/policy/forecast.hpp"

#include <algorithm>

namespace nodevirt::virt_handler::migration {

namespace {

constexpr int kMaxPasses = 400;
constexpr double kShrinks = 0.995;      // what shrinks less than that does not get there
constexpr double kPassCost = 0.05;      // seconds: looking for dirty pages takes time, too

}  // namespace

Forecast forecast(const DirtyModel& model, const ForecastInput& in) {
  Forecast out;
  if (in.rate <= 0 || in.last_rate <= 0) return out;
  double remaining = std::max(in.remaining, 0.0), time = 0, pass = std::max(in.pass_seconds, 0.0);
  bool counted = in.fresh;
  double allowed = in.max_downtime * in.last_rate;
  out.floor = remaining;
  for (int i = 0; i < kMaxPasses; ++i) {
    if (counted && remaining <= allowed) {
      out.downtime = remaining / in.last_rate;
      out.end = time + out.downtime;
      out.floor = std::min(out.floor, remaining);
      return out;
    }
    double left = remaining / in.rate + kPassCost;
    time += left;
    double next = model.dirtied(pass + left, in.throttle);
    bool shrinks = next < remaining * kShrinks || !counted;
    out.floor = counted ? std::min(out.floor, next) : next;
    out.downtime = next / in.last_rate;
    remaining = next;
    pass = 0;
    if (!shrinks && next > allowed) return out;
    counted = true;
  }
  return out;
}

std::optional<std::uint32_t> needed_throttle(const DirtyModel& model, ForecastInput in, std::uint32_t ceiling) {
  if (in.rate <= 0) return std::nullopt;
  std::optional<std::uint32_t> some;
  double enough = 3.5 * std::max(in.remaining, model.dirtied(1, 0)) / in.rate + 1;
  for (std::uint32_t percent = 5;; percent += 5) {
    percent = std::min(percent, ceiling);
    in.throttle = percent / 100.0;
    Forecast f = forecast(model, in);
    if (f.end && *f.end <= enough) return percent;
    if (f.end) some = percent;
    if (percent >= ceiling) break;
  }
  return some ? std::optional(ceiling) : std::nullopt;
}

}  // namespace nodevirt::virt_handler::migration
