// The target's half of the handover. Pure.
#pragma once
#include <compare>

#include "virt-handler/migration/handover/decision.hpp"

namespace nodevirt::virt_handler::migration {

class TargetHandover {
 public:
  enum class Decision { Open, Run, Abandon };

  // What the launcher tells. Nothing is concluded before it has told how it stands.
  void launcher_known();
  void loaded();                  ///< the guest is there, paused (or, in post-copy, may run)
  void running();                 ///< it runs here, with all of its memory: it was resumed, by this life or an earlier one
  void post_copy();               ///< it runs here, while its memory still comes from the source
  void ended();                   ///< it ran here, and has ended in a way of its own: its end is seen when it has moved
  void lost();                    ///< it was to run here, or ran here in post-copy, and is gone

  void link(bool up);
  void source_released();
  void source_kept();
  void source_lost();             ///< in post-copy: what is still missing will never come

  /// The instance as read; `superseded`: its migrationState is another migration's, or there is none any more.
  void stored(Owner owner, bool failed, bool completed, bool superseded);

  // What became of our own deeds.
  void loaded_said();
  void resumed_said();
  void abandoned();

  struct Wants {
    bool say_loaded = false, say_resumed = false;
    bool resume = false;
    bool complete = false;        ///< the instance moves to this node
    bool abandon = false;
    bool done = false;
    friend bool operator==(const Wants&, const Wants&) = default;
  };
  Wants wants() const;
  Decision decision() const { return decision_; }
  bool guest_lost() const { return lost_; }
  /// It runs here, and a part of its memory is still at the source.
  bool fetches() const { return post_copy_ && !whole_ && !lost_; }
  bool nothing_more_comes() const { return source_lost_; }

  auto operator<=>(const TargetHandover&) const = default;

 private:
  void settle();

  Decision decision_ = Decision::Open;
  bool known_ = false, loaded_ = false, running_ = false, post_copy_ = false, whole_ = false, lost_ = false, abandoned_ = false;
  bool link_ = false, loaded_said_ = false, resumed_said_ = false;
  bool released_ = false, kept_ = false, source_lost_ = false;
  Owner owner_ = Owner::None;
  bool failed_ = false, completed_ = false, superseded_ = false;
};

}  // namespace nodevirt::virt_handler::migration
