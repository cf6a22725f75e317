#include "virt-handler/migration/policy/bandwidth.hpp"

#include <algorithm>
#include <cmath>

namespace nodevirt::virt_handler::migration {

namespace {

constexpr double kLeastWindow = 0.15, kMostWindow = 0.8;   // seconds
constexpr double kAlphaSeconds = 0.4;
constexpr double kLeastOfDisks = 0.5, kMostOfDisks = 15;

}  // namespace

double Bandwidth::window_seconds() const {
  return window_.size() < 2 ? 0 : window_.back().seconds - window_.front().seconds;
}

void Bandwidth::sample(double seconds, double sent, double constant_pages, double normal_pages, double reported) {
  if (!window_.empty() && (seconds <= window_.back().seconds || sent < window_.back().sent)) return;
  double since = window_.empty() ? 0 : seconds - window_.back().seconds;
  window_.push_back({seconds, sent, constant_pages, normal_pages});
  while (window_.size() > 2 && seconds - window_[1].seconds >= kMostWindow) window_.pop_front();
  auto& first = window_.front();
  double span = seconds - first.seconds, bytes = sent - first.sent;
  double zero = constant_pages - first.constant_pages, full = normal_pages - first.normal_pages;
  if (span < kLeastWindow || zero > full) {
    if (!measured_ && reported > 0) rate_ = last_ = reported;
    return;
  }
  last_ = bytes / span;
  double weight = measured_ ? 1 - std::pow(1 - std::min(alpha_, 0.999), since / kAlphaSeconds) : 1;
  rate_ += (last_ - rate_) * weight;
  measured_ = true;
}

void DiskBandwidth::sample(double seconds, double copied) {
  if (!points_.empty() && (seconds <= points_.back().seconds || copied < points_.back().copied)) return;
  points_.push_back({seconds, copied});
  while (points_.size() > 2 && seconds - points_[1].seconds >= kMostOfDisks) points_.pop_front();
}

double DiskBandwidth::rate() const {
  if (points_.size() < 2) return 0;
  double span = points_.back().seconds - points_.front().seconds;
  return span < kLeastOfDisks ? 0 : (points_.back().copied - points_.front().copied) / span;
}

}  // namespace nodevirt::virt_handler::migration
