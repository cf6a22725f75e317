// What the samples of one job tell: rates, passes, the guest's model, and progress that counts. Pure; survives samples
// that are missing, repeated, out of order or of a job that began anew.
#pragma once
#include <optional>

#include "virt-handler/migration/policy/bandwidth.hpp"
#include "virt-handler/migration/policy/dirty_model.hpp"
#include "virt-handler/migration/policy/policy.hpp"

namespace nodevirt::virt_handler::migration {

class JobView {
 public:
  explicit JobView(const Settings& settings);

  enum class Taken { Used, Dropped, Restarted };
  /// Dropped: older than the last one, or the same. Restarted: of another job; all but what the link carries is
  /// forgotten.
  Taken take(const Sample& sample);

  const Sample& last() const { return last_; }
  bool any() const { return any_; }
  /// The last sample began a pass over the memory (the second or a later one).
  bool fresh() const { return fresh_; }
  double elapsed() const { return static_cast<double>(last_.elapsed_ms) / 1000; }
  double pass_seconds() const { return elapsed() - pass_began_; }       ///< of the present pass so far
  double last_pass_seconds() const { return last_pass_; }               ///< of the one before; 0: none
  double first_pass_seconds() const { return first_pass_; }             ///< 0: it is not over
  double throttle() const { return last_.throttle_percent / 100.0; }
  double remaining() const { return static_cast<double>(last_.memory_remaining); }
  /// Some pass dirtied so much that QEMU may have counted it against the guest.
  bool may_have_counted() const { return may_have_counted_; }

  const DirtyModel& model() const { return model_; }
  /// Bytes per second before the job; what the job itself has found counts more.
  void wrote_before(double rate);
  const Bandwidth& bandwidth() const { return bandwidth_; }
  void forget_bandwidth_window() { bandwidth_.forget_window(); }
  /// Disks are on their way, or about to be; the memory has not begun.
  bool before_memory() const { return last_.iteration == 0; }
  /// What the link carries of the disks, while they are copied.
  const DiskBandwidth& disk_bandwidth() const { return disk_bandwidth_; }

  /// The least that remained at the begin of a pass, latched: less by the margin, or it does not count. 0: none yet.
  double best_remaining() const { return best_; }
  /// When the job last gained ground, in its seconds.
  double last_progress() const { return progress_at_; }
  /// From here on counts anew: something was changed that deserves its time.
  void restart_progress() { progress_at_ = elapsed(); }

 private:
  void begin_pass(const Sample& sample);
  /// Bytes of pages that were dealt with since the last sample.
  double sent_since_last(const Sample& sample) const;
  void note_progress(const Sample& sample, bool first);

  double memory_, dirty_before_, alpha_, margin_;
  Sample last_;
  bool any_ = false, fresh_ = false, may_have_counted_ = false;
  double pass_began_ = 0, last_pass_ = 0, first_pass_ = 0;
  double best_ = 0, progress_at_ = 0, least_ = 0;
  DirtyModel model_;
  Bandwidth bandwidth_;
  DiskBandwidth disk_bandwidth_;
};

}  // namespace nodevirt::virt_handler::migration
