#include "virt-handler/migration/policy/dirty_model.hpp"

#include <algorithm>
#include <cmath>

namespace nodevirt::virt_handler::migration {

namespace {

constexpr std::size_t kKept = 6;
constexpr double kShortest = 0.02;      // seconds; what is shorter tells more about the sampling than about the guest
constexpr double kFullShare = 0.93;     // of the working set: from here on the rate cannot be told any more

double predict(double set, double rate, double seconds) {
  if (set <= 0 || rate <= 0 || seconds <= 0) return 0;
  return set * -std::expm1(-rate * seconds / set);
}

}  // namespace

DirtyModel::DirtyModel(double memory_bytes) : memory_(std::max(memory_bytes, 1.0)), set_(memory_) {}

void DirtyModel::observe_before(double seconds, double bytes) {
  if (!(seconds > kShortest) || !(bytes > 0)) return;
  seen_.push_front({seconds, std::min(bytes, memory_), 0.5});
  fit();
}

void DirtyModel::observe(double seconds, double throttle, double bytes) {
  double own = seconds * (1 - std::clamp(throttle, 0.0, 0.99));
  if (!(own > kShortest) || !(bytes >= 0)) return;
  for (auto& s : seen_) s.weight *= 0.6;
  seen_.push_back({own, std::clamp(bytes, 4096.0, memory_), 1});
  while (seen_.size() > kKept) seen_.pop_front();
  fit();
}

double DirtyModel::dirtied(double seconds, double throttle) const {
  return predict(set_, rate_, seconds * (1 - std::clamp(throttle, 0.0, 0.99)));
}

void DirtyModel::fit() {
  double most = 0, shortest = 1e300, longest = 0;
  for (auto& s : seen_) {
    most = std::max(most, s.bytes);
    shortest = std::min(shortest, s.seconds);
    longest = std::max(longest, s.seconds);
  }
  // One length only: any working set explains it, so the least assumption is none.
  certain_ = seen_.size() >= 2 && longest > 1.15 * shortest;
  double best_error = 1e300, best_set = memory_ * 8, best_rate = 0;
  constexpr int kSteps = 40;
  double low = std::min(most * 1.02, memory_), high = memory_ * 8;   // far above the memory: a straight line
  for (int i = 0; i <= kSteps; ++i) {
    double set = certain_ ? low * std::pow(high / low, static_cast<double>(i) / kSteps) : high;
    double sum = 0, weights = 0;
    for (auto& s : seen_) {
      double share = std::min(s.bytes / set, kFullShare + 0.05);
      double rate = -set / s.seconds * std::log1p(-share);
      double weight = s.weight * (1.02 - share);
      sum += weight * std::log(rate);
      weights += weight;
    }
    double rate = std::exp(sum / weights), error = 0;
    for (auto& s : seen_) {
      double off = std::log(predict(set, rate, s.seconds) / s.bytes);
      error += s.weight * off * off;
    }
    if (error < best_error) best_error = error, best_set = set, best_rate = rate;
    if (!certain_) break;
  }
  set_ = best_set;
  rate_ = best_rate;
  // The newest pass is what the guest does now.
  auto& last = seen_.back();
  double scale = std::clamp(last.bytes / std::max(predict(set_, rate_, last.seconds), 1.0), 1e-3, 1e3);
  set_ *= scale;
  rate_ *= scale;
  limited_ = certain_ && set_ < 0.9 * memory_;
  lower_bound_ = true;
  for (auto& s : seen_)
    if (s.weight > 0.2 && s.bytes < kFullShare * set_) lower_bound_ = false;
  if (lower_bound_) {
    // Each of these passes was enough to write it all, and the shortest says most.
    double least = 1e300;
    for (auto& s : seen_)
      if (s.weight > 0.2) least = std::min(least, s.seconds);
    rate_ = std::max(rate_, set_ / least);
  }
}

}  // namespace nodevirt::virt_handler::migration
