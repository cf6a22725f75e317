#include "virt-handler/migration/policy/dirty_model.hpp"

#include <algorithm>
#include <cmath>

namespace nodevirt::virt_handler::migration {

namespace {

constexpr double kShortestPass = 0.004;     // seconds; what is shorter tells more about the sampling than about the guest
constexpr double kFullShare = 0.95;     // of the working set: from here on the rate cannot be told any more
constexpr double kAsGood = 0.01;        // difference of squared errors that decides nothing
constexpr double kForgets = 8;          // seconds after which a pass counts half

double predict(bool in_order, double set, double rate, double seconds) {
  if (set <= 0 || rate <= 0 || seconds <= 0) return 0;
  return in_order ? std::min(set, rate * seconds) : set * -std::expm1(-rate * seconds / set);
}

}  // namespace

DirtyModel::DirtyModel(double memory_bytes) : memory_(std::max(memory_bytes, 1.0)), set_(memory_) {}

void DirtyModel::observe_before(double seconds, double bytes) {
  if (!(seconds > kShortestPass) || !(bytes > 0)) return;
  Seen seen{seconds, std::min(bytes, memory_), 0, 0.5};
  seen_[1000] = seen;      // apart from all others
  fit(0, seen);
}

void DirtyModel::observe(double now, double seconds, double throttle, double bytes) {
  double own = seconds * (1 - std::clamp(throttle, 0.0, 0.99));
  if (!(own > kShortestPass) || !(bytes >= 0)) return;
  // Very short passes are told one by one with little precision.
  Seen seen{own, std::clamp(bytes, 4096.0, memory_), now, own < 0.1 ? 0.4 : 1.0};
  auto bucket = static_cast<int>(std::floor(2 * std::log2(own)));
  auto [it, added] = seen_.try_emplace(bucket, seen);
  if (!added) {
    // The mean of both, as far as the older one still counts.
    double share = 0.5 * std::exp2(-(now - it->second.at) / kForgets);
    seen.bytes = std::exp((1 - share) * std::log(seen.bytes) + share * std::log(it->second.bytes));
    seen.seconds = std::exp((1 - share) * std::log(seen.seconds) + share * std::log(it->second.seconds));
    it->second = seen;
  }
  fit(now, seen);
}

double DirtyModel::dirtied(double seconds, double throttle) const {
  return predict(in_order_, set_, rate_, seconds * (1 - std::clamp(throttle, 0.0, 0.99)));
}

DirtyModel DirtyModel::faster(double factor) const {
  DirtyModel out = *this;
  out.rate_ *= factor;
  return out;
}

DirtyModel DirtyModel::other() const {
  DirtyModel out = *this;
  if (other_rate_ <= 0) return out;
  out.in_order_ = !in_order_;
  out.rate_ = other_rate_;
  out.set_ = other_set_;
  return out;
}

void DirtyModel::fit(double now, const Seen& newest) {
  double most = 0, shortest = 1e300, longest = 0;
  for (auto& [_, s] : seen_) longest = std::max(longest, s.seconds);
  std::map<int, double> weights;
  for (auto it = seen_.begin(); it != seen_.end();) {
    auto& s = it->second;
    double weight = s.weight * std::exp2(-(now - s.at) / std::max(kForgets, 2 * longest));
    if (weight < 0.02 && seen_.size() > 1) {
      it = seen_.erase(it);
      continue;
    }
    weights[it->first] = weight;
    most = std::max(most, s.bytes);
    shortest = std::min(shortest, s.seconds);
    ++it;
  }
  // One length only: any working set explains it, so the least assumption is none.
  certain_ = seen_.size() >= 2 && longest > 1.3 * shortest;
  double line = memory_ * 8;     // far above the memory: a straight line
  struct Fit { double error = 1e300, set = 0, rate = 0; } fits[2];
  double low = std::min(most, memory_);
  constexpr int kSteps = 40;
  for (bool in_order : {false, true}) {
    for (int i = 0; i <= kSteps; ++i) {
      double set = certain_ ? low * std::pow(line / low, static_cast<double>(i) / kSteps) : line;
      double sum = 0, all = 0;
      for (auto& [key, s] : seen_) {
        double share = std::min(s.bytes / set, kFullShare + 0.04);
        double rate = in_order ? s.bytes / s.seconds : -set / s.seconds * std::log1p(-share);
        double weight = weights[key] * (share >= kFullShare ? 0.01 : 1.02 - share);
        sum += weight * std::log(rate);
        all += weight;
      }
      double rate = std::exp(sum / all), error = 0;
      for (auto& [key, s] : seen_) {
        double off = std::log(predict(in_order, set, rate, s.seconds) / s.bytes);
        error += weights[key] * off * off;
      }
      if (Fit& best = fits[in_order]; error < best.error - 1e-6) best = {error, set, rate};
      if (!certain_) break;
    }
  }
  in_order_ = fits[1].error < fits[0].error - 1e-6;
  set_ = fits[in_order_].set;
  rate_ = fits[in_order_].rate;
  const Fit& second = fits[!in_order_];
  other_rate_ = certain_ && second.error < fits[in_order_].error + kAsGood ? second.rate : 0;
  other_set_ = second.set;
  // The newest pass is what the guest does now; a short one says so with little precision.
  double scale = std::clamp(newest.bytes / std::max(predict(in_order_, set_, rate_, newest.seconds), 1.0), 1e-3, 1e3);
  scale = std::pow(scale, std::clamp(newest.seconds / 0.5, 0.1, 1.0));
  set_ *= scale;
  rate_ *= scale;
  limited_ = certain_ && set_ < 0.9 * memory_;
  double least = 1e300;
  lower_bound_ = true;
  for (auto& [key, s] : seen_) {
    if (weights[key] < 0.1) continue;
    if (s.bytes < kFullShare * set_) lower_bound_ = false;
    least = std::min(least, s.seconds);
  }
  // Each of these passes was enough to write it all, and the shortest says most.
  if (lower_bound_ && least < 1e300) rate_ = std::max(rate_, set_ / least);
}

}  // namespace nodevirt::virt_handler::migration
