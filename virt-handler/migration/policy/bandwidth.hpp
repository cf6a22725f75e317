// What the link carries, from the bytes that the job sent: smoothed, over windows long enough to mean something, and
// apart from what passes over zero pages tell (they cost no bytes). Pure.
#pragma once
#include <cstdint>
#include <deque>

namespace nodevirt::virt_handler::migration {

class Bandwidth {
 public:
  /// `alpha`: weight of the newest 400 ms.
  explicit Bandwidth(double alpha) : alpha_(alpha) {}

  /// Bytes sent and pages seen so far at a time of the job; `reported`: QEMU's own figure, bytes per second, for
  /// when there is nothing better.
  void sample(double seconds, double sent, double constant_pages, double normal_pages, double reported);
  /// Another regime began (the cap was changed): what was measured before no longer counts for window().
  void forget_window() { window_.clear(); }

  bool known() const { return rate_ > 0; }
  double rate() const { return rate_; }          ///< bytes per second, smoothed; 0: not known
  double window() const { return last_; }        ///< over the last window alone; 0: not known
  double window_seconds() const;

 private:
  struct Point { double seconds, sent, constant_pages, normal_pages; };
  double alpha_;
  std::deque<Point> window_;
  double rate_ = 0, last_ = 0;
  bool measured_ = false;
};

/// What the link carries of disks: QEMU keeps a limit in bursts of some MiB, so the mean of many seconds tells. Pure.
class DiskBandwidth {
 public:
  /// Bytes copied so far at a time of the job.
  void sample(double seconds, double copied);
  void forget() { points_.clear(); }
  double rate() const;             ///< bytes per second; 0: not known

 private:
  struct Point { double seconds, copied; };
  std::deque<Point> points_;
};

}  // namespace nodevirt::virt_handler::migration
