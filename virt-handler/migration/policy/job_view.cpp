#include "virt-handler/migration/policy/job_view.hpp"

#include <algorithm>

namespace nodevirt::virt_handler::migration {

namespace {

double as_double(std::uint64_t v) { return static_cast<double>(v); }

DirtyModel fresh_model(double memory, double dirty_before) {
  DirtyModel model(memory);
  model.observe_before(1, dirty_before);
  return model;
}

}  // namespace

JobView::JobView(const Settings& settings)
    : memory_(as_double(std::max<std::uint64_t>(settings.memory_bytes, 1 << 20))),
      dirty_before_(as_double(settings.dirty_rate_before)),
      alpha_(settings.config.stall_detector ? settings.config.stall_detector->ewma_alpha : 0.4),
      margin_(settings.config.stall_detector ? settings.config.stall_detector->stall_margin : 0.04),
      model_(fresh_model(memory_, dirty_before_)),
      bandwidth_(alpha_) {}

void JobView::wrote_before(double rate) {
  dirty_before_ = rate;
  if (last_.iteration <= 1) model_ = fresh_model(memory_, dirty_before_);
}

JobView::Taken JobView::take(const Sample& sample) {
  Taken out = Taken::Used;
  if (any_) {
    bool earlier = sample.elapsed_ms < last_.elapsed_ms;
    // A new job counts its time and passes from the beginning; what comes late is one of the last few samples.
    bool anew = earlier && (sample.iteration < last_.iteration || sample.iteration <= 1) &&
                (sample.elapsed_ms + 2000 < last_.elapsed_ms || sample.taken_at_ms > last_.taken_at_ms) &&
                sample.taken_at_ms >= last_.taken_at_ms;
    if (anew) {
      fresh_ = may_have_counted_ = false;
      pass_began_ = last_pass_ = first_pass_ = best_ = progress_at_ = least_ = 0;
      model_ = fresh_model(memory_, dirty_before_);
      bandwidth_.forget_window();
      disk_bandwidth_.forget();
      any_ = false;
      out = Taken::Restarted;
    } else if (earlier || sample.iteration < last_.iteration ||
               (sample.elapsed_ms == last_.elapsed_ms && sample.iteration == last_.iteration && !sample.completed)) {
      fresh_ = false;
      return Taken::Dropped;
    }
  }
  bool first = !any_;
  fresh_ = false;
  if (sample.iteration >= 1)
    bandwidth_.sample(as_double(sample.elapsed_ms) / 1000, as_double(sample.memory_processed), as_double(sample.constant_pages),
                      as_double(sample.normal_pages), as_double(sample.bandwidth));
  else if (sample.disk_total > 0)
    disk_bandwidth_.sample(as_double(sample.elapsed_ms) / 1000, as_double(sample.disk_processed));
  if (first || (last_.iteration == 0 && sample.iteration >= 1)) {
    // Joined in the middle: the first pass began with the job, of a later one the begin is not known.
    pass_began_ = sample.iteration <= 1 && first ? as_double(sample.setup_ms) / 1000 : as_double(sample.elapsed_ms) / 1000;
  } else if (sample.iteration > last_.iteration) {
    begin_pass(sample);
  }
  note_progress(sample, first);
  last_ = sample;
  any_ = true;
  return out;
}

double JobView::sent_since_last(const Sample& sample) const {
  // Zero pages leave what remains, too, and cost no bytes.
  double pages = as_double(sample.normal_pages) + as_double(sample.constant_pages) - as_double(last_.normal_pages) -
                 as_double(last_.constant_pages);
  double bytes = as_double(sample.memory_processed) - as_double(last_.memory_processed);
  return std::max({pages * as_double(sample.page_size), bytes, 0.0});
}

void JobView::begin_pass(const Sample& sample) {
  double now = as_double(sample.elapsed_ms) / 1000;
  double passes = sample.iteration - last_.iteration;
  double seconds = std::max(now - pass_began_, 0.0) / passes;
  double sent = sent_since_last(sample), remaining = as_double(sample.memory_remaining);
  // What remains is what was left over and what was found newly dirty; pages that waited anyway were not counted.
  double left_over = std::clamp(as_double(last_.memory_remaining) - sent, 0.0, remaining);
  double found = remaining - left_over;
  double set = model_.working_set() > 0 ? std::max(model_.working_set(), remaining) : memory_;
  double dirtied = found / passes / (1 - std::min(left_over / set, 0.8));
  if (last_.iteration == 1 && passes == 1) first_pass_ = seconds;
  model_.observe(now, seconds, last_.throttle_percent / 100.0, dirtied);
  double in_pass = bandwidth_.rate() * seconds * passes;
  if (in_pass > 0 && found > 0.4 * in_pass) may_have_counted_ = true;
  last_pass_ = seconds;
  pass_began_ = now;
  fresh_ = true;
}

void JobView::note_progress(const Sample& sample, bool first) {
  double now = as_double(sample.elapsed_ms) / 1000;
  if (sample.iteration <= 1) {
    // The first pass, and the disks before it: every byte less is progress.
    double left = as_double(sample.memory_remaining) + as_double(sample.disk_remaining);
    // One disk after the other begins; what the guest writes meanwhile adds less.
    bool another = sample.iteration == 0 && as_double(sample.disk_total) > 1.1 * as_double(last_.disk_total);
    if (first || left < least_ || another || (last_.iteration == 0 && sample.iteration == 1)) {
      progress_at_ = now;
      least_ = left;
    }
    return;
  }
  if (!fresh_) return;
  double remaining = as_double(sample.memory_remaining);
  if (best_ == 0 || remaining < best_ * (1 - margin_)) {
    best_ = std::max(remaining, 1.0);
    progress_at_ = now;
  }
}

}  // namespace nodevirt::virt_handler::migration
