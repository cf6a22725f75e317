// The source's half of the handover. Pure.
#pragma once
#include <compare>
#include <optional>

#include "virt-handler/migration/handover/decision.hpp"

namespace nodevirt::virt_handler::migration {

class SourceHandover {
 public:
  enum class Decision { Open, Released, Kept };

  explicit SourceHandover(Note note = Note::None);

  // What the launcher tells: each is true for ever once it was told. Where it knows several, released comes first.
  void switchover();              ///< the guest is suspended by the migration
  void post_copy();               ///< the guest's memory is being fetched by the target: there is no way back
  void resumed();                 ///< the guest runs on here
  void released();                ///< its QEMU was ended by a release
  void ended(bool ok);            ///< the job; also when none was begun and none will be (not ok). After post_copy(), not ok: what
                                  ///< the target lacks of the guest is gone
  /// The domain stands paused by the migration (true), or runs, or is paused for another reason.
  void stopped_by_migration(bool is);
  /// Every release that an earlier life may have asked for has had its time, and the launcher was asked once more
  /// after that how it stands.
  void old_calls_ended();

  // The link to the target's virt-handler, and what comes over it.
  void link(bool up);
  void target_loaded();
  void target_resumed();
  /// "released" was said a while ago, and the target has not answered: the link may be gone without a sign.
  void answer_overdue();

  /// The instance, as read: whose guest it is by the annotation, and migrationState.
  void stored(Owner owner, bool failed, bool completed);
  void cancel();

  // What became of our own deeds.
  void note_written(Note note);
  void release_begun();
  void release_answered(std::optional<bool> was_released);  ///< nothing: an error, which says nothing
  void released_said();
  void kept_said();
  void lost_said();
  void cancel_begun();
  void cancel_failed();

  struct Wants {
    std::optional<Note> note;     ///< to be durable before anything else here is done
    bool release = false;
    bool cancel_job = false;
    bool say_released = false, say_kept = false;
    bool say_lost = false;        ///< the target's guest will never be whole
    bool store_target = false;    ///< annotation: owner target
    bool store_failed = false;    ///< annotation: owner source; migrationState: failed
    bool unpause = false;         ///< the guest stays, and nobody else lets it run again
    bool done = false;
    friend bool operator==(const Wants&, const Wants&) = default;
  };
  Wants wants() const;
  Decision decision() const { return decision_; }
  /// From here on a pause, a reset or a kill of the guest must wait for the decision.
  bool in_switchover() const { return decision_ == Decision::Open && (suspended_ || release_ever_); }

  /// A release may have been asked for, in this life or an earlier one, or is about to be.
  bool may_be_released() const { return suspended_ || target_loaded_ || ended_ok_ || release_ever_ || note_ == Note::MayRelease; }

  auto operator<=>(const SourceHandover&) const = default;

 private:
  void settle();

  Decision decision_ = Decision::Open;
  Note note_ = Note::None;
  bool suspended_ = false, post_copy_ = false, resumed_ = false, released_ = false, stopped_ = false;
  bool ended_ = false, ended_ok_ = false;
  bool link_ = false, target_loaded_ = false, target_resumed_ = false;
  bool old_calls_ended_ = true;
  bool release_ever_ = false, release_in_flight_ = false, cancel_ = false, cancel_begun_ = false;
  bool said_ = false;  ///< on the present link
  bool overdue_ = false;
  Owner owner_ = Owner::None;
  bool read_ = false, failed_ = false, completed_ = false;
};

}  // namespace nodevirt::virt_handler::migration
