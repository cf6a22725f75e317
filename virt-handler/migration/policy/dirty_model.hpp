// How a guest dirties memory: bytes of distinct pages that it writes in t seconds of its own time, from the working
// set W and the rate w. Fitted to what the passes over its memory found dirty: a guest that writes ever new pages and
// one that rewrites a few look the same in a single pass, and apart in two of different length. Two shapes are tried,
// W (1 - exp(-w t / W)) for writes all over the set and min(w t, W) for writes in order, and the better one is kept.
// Pure.
#pragma once
#include <map>

namespace nodevirt::virt_handler::migration {

class DirtyModel {
 public:
  /// `memory_bytes`: no working set is larger.
  explicit DirtyModel(double memory_bytes);

  /// What was measured before the job; weighs less than what the job itself finds.
  void observe_before(double seconds, double bytes);
  /// A pass of `seconds` that ended at `now` (seconds of the job) found `bytes` newly dirty while the guest was slowed
  /// down by `throttle` (0 to 0.99).
  void observe(double now, double seconds, double throttle, double bytes);

  bool known() const { return !seen_.empty(); }
  /// Passes of clearly different length were seen: rate and working set can be told apart.
  bool certain() const { return certain_; }
  /// Bytes per second of an unthrottled guest, over times too short to write a page twice.
  double write_rate() const { return rate_; }
  /// The passes were all long enough for the whole working set: it may write faster than write_rate().
  bool rate_is_lower_bound() const { return lower_bound_; }
  /// Bytes; 0 while nothing tells that it is less than the memory.
  double working_set() const { return limited_ ? set_ : 0; }
  double memory() const { return memory_; }
  /// Bytes found dirty after `seconds` at `throttle`.
  double dirtied(double seconds, double throttle) const;
  /// The other shape, where it explains what was seen nearly as well; else this one.
  DirtyModel other() const;
  /// The same guest, writing `factor` times as fast.
  DirtyModel faster(double factor) const;

 private:
  struct Seen { double seconds, bytes, at, weight; };   // seconds of the guest's own time
  void fit(double now, const Seen& newest);

  double memory_;
  std::map<int, Seen> seen_;   // one per length, by halves of a power of two
  double rate_ = 0, set_ = 0;
  double other_rate_ = 0, other_set_ = 0;   ///< 0: the other shape does not fit
  bool in_order_ = false, certain_ = false, lower_bound_ = false, limited_ = false;
};

}  // namespace nodevirt::virt_handler::migration
