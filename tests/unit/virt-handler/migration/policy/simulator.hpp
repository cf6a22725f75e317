// A guest, a link and QEMU 7.2's pre-copy in small: what the policy is tried against in closed loop, and what it is
// compared with. Time stands still between steps of 10 ms; memory is counted in blocks.
//
// Modelled after QEMU: passes over a dirty bitmap; the log is looked at when less remains than the limit allows at the
// bandwidth of the last 100 ms; the switch-over when that is still so afterwards; the throttle at every second look, a
// second apart or more, that found more than `trigger` percent of what was sent; a bandwidth cap that the estimate
// knows and the last step does not.
#pragma once
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "virt-handler/migration/policy/policy.hpp"

namespace nodevirt::virt_handler::migration::simulation {

struct Scene {
  double memory_mib = 1024;
  double working_set_mib = 256;
  double write_mib = 50;          ///< per second, of an unthrottled guest
  double link_mib = 100;          ///< per second
  double cap_mib = 0;             ///< of the job
  bool random_writes = false;     ///< else in order, round and round
  double jitter = 0;              ///< of link and guest, 0 to 1
  double lose = 0;                ///< share of samples that never come
  double steer_seconds = 0.15;    ///< from a sample to what is done about it
  double overhead_seconds = 1.0;  ///< before the first pass: the target's QEMU is started
  bool measured_before = true;    ///< the dirty rate before the job is known
  double calm_after = 0;          ///< seconds after which the guest stops writing; 0: never
  unsigned seed = 1;
};

struct Outcome {
  bool done = false;
  bool aborted = false;
  bool post_copy = false, paused = false;
  double seconds = 0;             ///< of the job
  double downtime = 0;            ///< seconds, of the last step
  std::uint32_t throttle = 0;     ///< the highest
  double sent_mib = 0;
  std::string last_words, reason;
  std::vector<std::string> story;
};

/// What QEMU is told by somebody who never looks again.
struct Fixed {
  bool auto_converge = false;
  std::uint64_t limit_ms = 900;
  Throttle throttle{20, 10, 99, 50};
};

class Simulator {
 public:
  explicit Simulator(Scene scene) : scene_(scene), random_(scene.seed) {
    blocks_ = static_cast<std::size_t>(scene.memory_mib * 1024 / kBlockKib);
    hot_ = std::max<std::size_t>(1, static_cast<std::size_t>(scene.working_set_mib * 1024 / kBlockKib));
    hot_ = std::min(hot_, blocks_);
    bitmap_.assign(blocks_, true);
    log_.assign(blocks_, false);
    remaining_ = blocks_;
    cap_mib_ = scene.cap_mib;
  }

  Outcome run(Fixed fixed, double most_seconds) {
    limit_ms_ = static_cast<double>(fixed.limit_ms);
    throttle_ = fixed.throttle;
    auto_converge_ = fixed.auto_converge;
    for (time_ = scene_.overhead_seconds; time_ < most_seconds && !out_.done;) step();
    out_.seconds = time_;
    return out_;
  }

  Outcome run(Policy& policy, double most_seconds, double interval = 0.2) {
    StartPlan plan = policy.start();
    limit_ms_ = static_cast<double>(plan.downtime_limit_ms);
    throttle_ = plan.throttle;
    auto_converge_ = plan.auto_converge;
    cap_mib_ = static_cast<double>(plan.bandwidth_mib_per_second);
    time_ = scene_.overhead_seconds;
    double next = time_ + interval;
    while (time_ < most_seconds && !out_.done && !out_.aborted) {
      step();
      if (out_.done) break;
      for (auto it = pending_.begin(); it != pending_.end();) {
        if (it->at > time_) { ++it; continue; }
        carry_out(it->action);
        it = pending_.erase(it);
      }
      bool boundary = seen_ != iteration_;
      if (time_ < next && !boundary) continue;
      next = time_ + interval;
      seen_ = iteration_;
      if (chance(scene_.lose)) continue;
      Decision d = policy.step(sample(), Clock::Time{} + ns(time_));
      out_.last_words = d.explanation;
      last = d;
      for (auto& a : d.actions) {
        char head[64];
        std::snprintf(head, sizeof head, "%.2f #%u %.0fMiB thr%u ", time_, iteration_, remaining_mib(), now_);
        out_.story.push_back(head + std::string(to_string(a.kind)) + " " + std::to_string(a.value) +
                             (a.kind == ActionKind::SetThrottle ? "i" + std::to_string(a.throttle.initial_percent) + "+" +
                                                                      std::to_string(a.throttle.increment_percent) + "t" +
                                                                      std::to_string(a.throttle.trigger_percent)
                                                                : "") +
                             ": " + a.reason + " | " + d.explanation);
        pending_.push_back({time_ + scene_.steer_seconds, a});
      }
    }
    out_.seconds = time_;
    return out_;
  }

  Sample sample() const {
    Sample s;
    s.elapsed_ms = static_cast<std::uint64_t>(time_ * 1000);
    s.taken_at_ms = 1'700'000'000'000 + s.elapsed_ms;
    s.setup_ms = static_cast<std::uint64_t>(scene_.overhead_seconds * 1000);
    s.iteration = iteration_;
    s.memory_total = bytes(blocks_);
    s.memory_processed = static_cast<std::uint64_t>(sent_ * kBlockKib * 1024);
    s.memory_remaining = bytes(remaining_);
    s.bandwidth = static_cast<std::uint64_t>(bandwidth_ * (1 << 20));
    s.dirty_rate = static_cast<std::uint64_t>(dirty_rate_ * (1 << 20));
    s.expected_downtime_ms = bandwidth_ > 0 ? static_cast<std::uint64_t>(remaining_mib() / bandwidth_ * 1000) : 0;
    s.throttle_percent = now_;
    s.page_size = 4096;
    s.normal_pages = s.memory_processed / 4096;
    s.post_copy_requests = out_.post_copy ? 1 : 0;
    return s;
  }

  Decision last;

 private:
  static constexpr double kBlockKib = 256, kStep = 0.01;
  struct Pending { double at; Action action; };

  static Clock::Duration ns(double s) { return std::chrono::nanoseconds(static_cast<std::int64_t>(s * 1e9)); }
  static std::uint64_t bytes(std::size_t blocks) { return blocks * static_cast<std::uint64_t>(kBlockKib * 1024); }
  double remaining_mib() const { return static_cast<double>(remaining_) * kBlockKib / 1024; }
  bool chance(double p) { return p > 0 && std::uniform_real_distribution<>(0, 1)(random_) < p; }
  double noise() {
    return scene_.jitter > 0 ? 1 + scene_.jitter * std::uniform_real_distribution<>(-1, 1)(random_) : 1;
  }

  void carry_out(const Action& a) {
    switch (a.kind) {
      case ActionKind::SetDowntimeLimit: limit_ms_ = static_cast<double>(a.value); break;
      case ActionKind::SetBandwidth: cap_mib_ = static_cast<double>(a.value); break;
      case ActionKind::SetThrottle: throttle_ = a.throttle; break;
      case ActionKind::StartPostCopy: out_.post_copy = true; break;
      case ActionKind::PauseGuest: out_.paused = true; break;
      case ActionKind::Abort: out_.aborted = true, out_.reason = a.reason; break;
    }
  }

  void guest(double dt) {
    if (out_.paused || out_.post_copy || (scene_.calm_after > 0 && time_ > scene_.calm_after)) return;
    carry_ += scene_.write_mib * 1024 / kBlockKib * dt * (1 - now_ / 100.0) * guest_noise_;
    for (; carry_ >= 1; carry_ -= 1) {
      std::size_t at = scene_.random_writes ? std::uniform_int_distribution<std::size_t>(0, hot_ - 1)(random_) : cursor_;
      cursor_ = (cursor_ + 1) % hot_;
      log_[(at + hot_start()) % blocks_] = true;
    }
  }
  std::size_t hot_start() const { return blocks_ / 7; }

  void step() {
    time_ += kStep;
    if (static_cast<int>(time_ * 100) % 30 == 0) link_noise_ = noise(), guest_noise_ = noise();
    guest(kStep);
    double link = scene_.link_mib * link_noise_;
    double rate = cap_mib_ > 0 && !out_.post_copy ? std::min(link, cap_mib_) : link;
    budget_ += rate * 1024 / kBlockKib * kStep;
    while (budget_ >= 1 && remaining_ > 0) {
      while (!bitmap_[scan_]) scan_ = (scan_ + 1) % blocks_;
      bitmap_[scan_] = false;
      --remaining_;
      ++sent_;
      budget_ -= 1;
    }
    if (time_ - window_began_ >= 0.1) {
      bandwidth_ = (sent_ - window_sent_) * kBlockKib / 1024 / (time_ - window_began_);
      window_began_ = time_;
      window_sent_ = sent_;
    }
    if (out_.post_copy) {
      if (remaining_ == 0) out_.done = true;
      return;
    }
    double threshold = bandwidth_ * limit_ms_ / 1000;
    if (remaining_mib() >= threshold && remaining_ > 0) return;
    look();
    if (remaining_mib() >= threshold && remaining_ > 0) return;
    out_.downtime = remaining_mib() / link + 0.02;
    time_ += out_.downtime;
    out_.sent_mib = sent_ * kBlockKib / 1024 + remaining_mib();
    out_.done = true;
  }

  void look() {
    for (std::size_t i = 0; i < blocks_; ++i) {
      if (!log_[i]) continue;
      log_[i] = false;
      if (!bitmap_[i]) bitmap_[i] = true, ++remaining_, ++dirty_in_period_;
    }
    ++iteration_;
    if (time_ <= period_began_ + 1) return;
    double sent = sent_ - period_sent_;
    dirty_rate_ = dirty_in_period_ * kBlockKib / 1024 / (time_ - period_began_);
    if (auto_converge_ && dirty_in_period_ > sent * throttle_.trigger_percent / 100.0 && ++high_ >= 2) {
      high_ = 0;
      now_ = now_ == 0 ? throttle_.initial_percent
                       : std::min(now_ + throttle_.increment_percent, std::min(throttle_.maximum_percent, 99u));
      out_.throttle = std::max(out_.throttle, now_);
    }
    period_began_ = time_;
    period_sent_ = sent_;
    dirty_in_period_ = 0;
  }

  Scene scene_;
  std::mt19937 random_;
  std::vector<char> bitmap_, log_;
  std::size_t blocks_ = 0, hot_ = 0, remaining_ = 0, scan_ = 0, cursor_ = 0;
  double time_ = 0, carry_ = 0, budget_ = 0, sent_ = 0, cap_mib_ = 0;
  double window_began_ = 0, window_sent_ = 0, bandwidth_ = 0;
  double period_began_ = 0, period_sent_ = 0, dirty_in_period_ = 0, dirty_rate_ = 0;
  double limit_ms_ = 300, link_noise_ = 1, guest_noise_ = 1;
  Throttle throttle_;
  bool auto_converge_ = false;
  std::uint32_t iteration_ = 1, seen_ = 1, high_ = 0, now_ = 0;
  std::vector<Pending> pending_;
  Outcome out_;
};

/// Settings for a scene, as virt-handler would make them.
inline Settings settings_for(const Scene& scene) {
  Settings s;
  s.memory_bytes = static_cast<std::uint64_t>(scene.memory_mib * (1 << 20));
  s.config.bandwidth_bytes_per_second = static_cast<std::uint64_t>(scene.cap_mib * (1 << 20));
  // Page sampling over a second finds distinct pages.
  double second = scene.random_writes ? scene.working_set_mib * -std::expm1(-scene.write_mib / scene.working_set_mib)
                                      : std::min(scene.write_mib, scene.working_set_mib);
  if (scene.measured_before) s.dirty_rate_before = static_cast<std::uint64_t>(second * (1 << 20));
  return s;
}

}  // namespace nodevirt::virt_handler::migration::simulation
