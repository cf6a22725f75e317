#include "virt-handler/migration/handover/target_handover.hpp"

namespace nodevirt::virt_handler::migration {

void TargetHandover::launcher_known() { known_ = true; settle(); }
void TargetHandover::loaded() { known_ = loaded_ = true; settle(); }
void TargetHandover::running() { known_ = loaded_ = running_ = whole_ = true; settle(); }
void TargetHandover::post_copy() { known_ = loaded_ = running_ = post_copy_ = true; settle(); }
void TargetHandover::ended() { running(); }
void TargetHandover::lost() {
  if (whole_) return;
  known_ = lost_ = true;
  settle();
}
void TargetHandover::source_released() { released_ = true; settle(); }
void TargetHandover::source_kept() { kept_ = true; settle(); }
void TargetHandover::source_lost() { source_lost_ = true; }
void TargetHandover::loaded_said() { loaded_said_ = true; }
void TargetHandover::resumed_said() { resumed_said_ = true; }
void TargetHandover::abandoned() { abandoned_ = true; }

void TargetHandover::link(bool up) {
  link_ = up;
  loaded_said_ = resumed_said_ = false;
}

void TargetHandover::stored(Owner owner, bool failed, bool completed, bool superseded) {
  owner_ = owner;
  failed_ = failed;
  completed_ = completed;
  superseded_ = superseded;
  settle();
}

void TargetHandover::settle() {
  if (decision_ != Decision::Open || !known_) return;
  if (running_ || released_ || owner_ == Owner::Target || completed_) {
    decision_ = Decision::Run;
    return;
  }
  // Once it is loaded the source may have been told, and only the source can take it back.
  bool given_up = superseded_ || (failed_ && !loaded_);
  if (kept_ || owner_ == Owner::Source || given_up) decision_ = Decision::Abandon;
}

TargetHandover::Wants TargetHandover::wants() const {
  Wants out;
  switch (decision_) {
    case Decision::Open:
      out.say_loaded = loaded_ && link_ && !loaded_said_;
      break;
    case Decision::Run:
      out.resume = !running_ && !lost_;  // in post-copy nothing is "loaded" before it runs
      // In post-copy the source is needed until all is here, or it says that it was released.
      out.complete = (whole_ || (running_ && (released_ || owner_ == Owner::Target)) || lost_) && !completed_;
      out.say_resumed = running_ && link_ && !resumed_said_;
      out.done = completed_ && (running_ || lost_);
      break;
    case Decision::Abandon:
      out.abandon = !abandoned_;
      out.done = abandoned_;
      break;
  }
  return out;
}

}  // namespace nodevirt::virt_handler::migration
