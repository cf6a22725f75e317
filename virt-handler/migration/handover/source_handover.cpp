#include "virt-handler/migration/handover/source_handover.hpp"

namespace nodevirt::virt_handler::migration {

SourceHandover::SourceHandover(Note note) : note_(note), old_calls_ended_(note != Note::MayRelease) { settle(); }

void SourceHandover::switchover() { suspended_ = true; settle(); }
void SourceHandover::post_copy() { post_copy_ = true; settle(); }
void SourceHandover::resumed() { resumed_ = true; settle(); }
void SourceHandover::released() { released_ = true; settle(); }
void SourceHandover::stopped_by_migration(bool is) { stopped_ = is; settle(); }
void SourceHandover::old_calls_ended() { old_calls_ended_ = true; settle(); }
void SourceHandover::target_loaded() { target_loaded_ = true; settle(); }
void SourceHandover::target_resumed() { target_resumed_ = true; settle(); }
void SourceHandover::answer_overdue() { overdue_ = true; }
void SourceHandover::cancel() { cancel_ = true; settle(); }
void SourceHandover::note_written(Note note) { note_ = note; settle(); }
void SourceHandover::released_said() { said_ = true; }
void SourceHandover::kept_said() { said_ = true; }
void SourceHandover::lost_said() { said_ = true; }
void SourceHandover::cancel_begun() { cancel_begun_ = true; }
void SourceHandover::cancel_failed() { cancel_begun_ = false; }

void SourceHandover::ended(bool ok) {
  ended_ = true;
  ended_ok_ = ok;
  settle();
}

void SourceHandover::link(bool up) {
  link_ = up;
  said_ = false;
  settle();
}

void SourceHandover::stored(Owner owner, bool failed, bool completed) {
  owner_ = owner;
  failed_ = failed;
  completed_ = completed;
  read_ = true;
  settle();
}

void SourceHandover::release_begun() { release_ever_ = release_in_flight_ = true; }

void SourceHandover::release_answered(std::optional<bool> was_released) {
  release_in_flight_ = false;
  if (was_released && decision_ == Decision::Open) decision_ = *was_released ? Decision::Released : Decision::Kept;
  if (was_released && decision_ == Decision::Released) released_ = true;
  settle();
}

void SourceHandover::settle() {
  if (decision_ != Decision::Open) return;
  if (released_ || owner_ == Owner::Target || completed_ || post_copy_) {
    decision_ = Decision::Released;
    return;
  }
  // A release that comes after the guest went on finds it running and keeps it.
  if (note_ == Note::Kept || owner_ == Owner::Source || resumed_) {
    decision_ = Decision::Kept;
    return;
  }
  // The job has failed, and nobody has asked for a release, nor can an older question still be under way.
  bool nobody_asked = !release_ever_ && old_calls_ended_;
  if (ended_ && !ended_ok_ && nobody_asked && !target_loaded_) decision_ = Decision::Kept;
}

SourceHandover::Wants SourceHandover::wants() const {
  Wants out;
  if (decision_ == Decision::Open) {
    bool ask = target_loaded_ || ended_ok_ || release_ever_;
    if (note_ == Note::None && (suspended_ || ask)) out.note = Note::MayRelease;
    // An earlier life may have decided already: the instance is read first.
    out.release = ask && read_ && note_ == Note::MayRelease && !release_in_flight_;
    out.cancel_job = cancel_ && !cancel_begun_ && !ended_ && !ask;
    return out;
  }
  if (decision_ == Decision::Released) {
    // Post-copy: the guest's memory comes from here until the job has ended, or the target has told the instance that all is
    // there; only then may its QEMU go: this pod is removed as soon as the migration is complete.
    bool all_over_there = !post_copy_ || released_;
    out.say_released = all_over_there && link_ && !said_;
    out.store_target = all_over_there && owner_ != Owner::Target && !completed_ && (!link_ || overdue_) && (post_copy_ || !target_resumed_);
    out.release = post_copy_ && ended_ok_ && !released_ && !release_in_flight_;
    out.say_lost = post_copy_ && ended_ && !ended_ok_ && !released_ && link_ && !said_;
    out.done = completed_;
    return out;
  }
  bool stored = owner_ == Owner::Source && failed_;
  if (note_ != Note::Kept && !stored) out.note = Note::Kept;
  out.say_kept = link_ && !said_;
  out.store_failed = !stored;
  out.cancel_job = !ended_ && !cancel_begun_;
  out.unpause = ended_ && stopped_;
  out.done = stored && ended_ && !stopped_;
  return out;
}

}  // namespace nodevirt::virt_handler::migration
