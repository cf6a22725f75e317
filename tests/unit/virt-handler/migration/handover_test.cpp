// The two machines of the handover, step by step; every interleaving is the model's (handover_model_test.cpp).
#include <catch2/catch.hpp>

#include "pkg/base/file.hpp"
#include "virt-handler/migration/handover/journal.hpp"
#include "virt-handler/migration/handover/source_handover.hpp"
#include "virt-handler/migration/handover/target_handover.hpp"

using namespace nodevirt;
using namespace nodevirt::virt_handler::migration;
using S = SourceHandover;
using T = TargetHandover;

TEST_CASE("source: the way of a migration that goes well") {
  S source;
  source.stored(Owner::None, false, false);
  source.link(true);
  CHECK(source.wants() == S::Wants{});
  source.switchover();
  CHECK(source.in_switchover());
  CHECK(source.wants().note == Note::MayRelease);
  source.note_written(Note::MayRelease);
  CHECK_FALSE(source.wants().release);           // nothing is loaded yet
  source.target_loaded();
  REQUIRE(source.wants().release);
  source.release_begun();
  CHECK_FALSE(source.wants().release);
  source.release_answered(true);
  CHECK(source.decision() == S::Decision::Released);
  CHECK(source.wants().say_released);
  CHECK_FALSE(source.wants().store_target);      // the link will do
  source.released_said();
  source.ended(false);                           // its QEMU was killed: nothing follows from that
  CHECK(source.wants() == S::Wants{});
  S unheard = source;
  unheard.answer_overdue();
  CHECK(unheard.wants().store_target);
  source.stored(Owner::None, false, true);
  CHECK(source.wants().done);
}

TEST_CASE("source: what may not lead to a release") {
  struct Case { const char* name; std::function<void(S&)> events; };
  const Case cases[] = {
      {"the link alone", [](S& s) { s.link(true); s.switchover(); }},
      {"loaded, before the instance was read", [](S& s) { s.target_loaded(); }},
      {"loaded, after the guest went on", [](S& s) { s.stored(Owner::None, false, false); s.resumed(); s.target_loaded(); }},
      {"loaded, after the job had failed", [](S& s) { s.stored(Owner::None, false, false); s.ended(false); s.target_loaded(); }},
      {"loaded, when it was decided before", [](S& s) { s.stored(Owner::Source, true, false); s.target_loaded(); }},
  };
  for (const Case& c : cases) {
    DYNAMIC_SECTION(c.name) {
      S source;
      c.events(source);
      if (source.wants().note) source.note_written(*source.wants().note);
      CHECK_FALSE(source.wants().release);
    }
  }
  S kept(Note::Kept);
  kept.stored(Owner::None, false, false);
  kept.target_loaded();
  CHECK_FALSE(kept.wants().release);
  CHECK(kept.wants().store_failed);
}

TEST_CASE("source: errors of a release say nothing, and are asked again") {
  S source;
  source.stored(Owner::None, false, false);
  source.target_loaded();
  source.note_written(Note::MayRelease);
  source.release_begun();
  source.ended(false);
  CHECK(source.decision() == S::Decision::Open);
  source.release_answered(std::nullopt);
  CHECK(source.decision() == S::Decision::Open);
  CHECK(source.wants().release);
  source.release_begun();
  source.release_answered(false);
  CHECK(source.decision() == S::Decision::Kept);
}

TEST_CASE("source: without the link the decision goes to the instance, once") {
  S source;
  source.stored(Owner::None, false, false);
  source.link(true);
  source.target_loaded();
  source.note_written(Note::MayRelease);
  source.release_begun();
  source.link(false);
  source.release_answered(true);
  CHECK(source.wants().store_target);
  source.stored(Owner::Target, false, false);
  CHECK_FALSE(source.wants().store_target);
  CHECK_FALSE(source.wants().done);
  source.stored(Owner::Target, false, true);
  CHECK(source.wants().done);
}

TEST_CASE("source: a failed job with the guest left standing lets it go on") {
  S source;
  source.stored(Owner::None, false, false);
  source.ended(false);
  source.stopped_by_migration(true);
  CHECK(source.decision() == S::Decision::Kept);
  CHECK(source.wants().unpause);
  CHECK(source.wants().store_failed);
  source.stored(Owner::Source, true, false);
  CHECK_FALSE(source.wants().done);
  source.stopped_by_migration(false);
  CHECK(source.wants().done);
}

TEST_CASE("source: a new life with the note waits for old calls") {
  S source(Note::MayRelease);
  source.stored(Owner::None, false, false);
  source.ended(false);
  CHECK(source.decision() == S::Decision::Open);
  source.old_calls_ended();
  CHECK(source.decision() == S::Decision::Kept);
}

TEST_CASE("source: in post-copy there is no way back, and its QEMU stays until the job is over") {
  S source;
  source.stored(Owner::None, false, false);
  source.link(true);
  source.post_copy();
  CHECK_FALSE(source.wants().release);
  CHECK_FALSE(source.wants().say_released);      // this pod would be removed
  S cut = source;
  cut.link(false);
  CHECK_FALSE(cut.wants().store_target);
  S broken = source;
  broken.ended(false);                           // what the target lacks is gone
  CHECK_FALSE(broken.wants().release);
  CHECK_FALSE(broken.wants().say_released);
  CHECK(broken.wants().say_lost);
  broken.lost_said();
  CHECK_FALSE(broken.wants().say_lost);
  broken.link(false);
  broken.link(true);
  CHECK(broken.wants().say_lost);                // on each link
  CHECK_FALSE(broken.wants().done);
  broken.stored(Owner::None, true, true);
  CHECK(broken.wants().done);
  S complete = source;
  complete.stored(Owner::None, false, true);     // the target has it all
  CHECK(complete.wants().done);
  source.ended(true);
  CHECK(source.wants().release);
  source.release_begun();
  source.release_answered(true);
  CHECK(source.wants().say_released);
  source.target_resumed();                       // it ran long before
  cut = source;
  cut.link(false);
  CHECK(cut.wants().store_target);
  source.released_said();
  CHECK_FALSE(source.wants().done);
  source.stored(Owner::None, false, true);
  CHECK(source.wants().done);
}

TEST_CASE("target: in post-copy the instance moves when all has come, the source is released, or the guest is lost") {
  T target;
  target.stored(Owner::None, false, false, false);
  target.link(true);
  target.post_copy();
  CHECK(target.decision() == T::Decision::Run);
  CHECK_FALSE(target.wants().resume);            // it runs
  CHECK_FALSE(target.wants().complete);
  CHECK_FALSE(target.wants().abandon);
  CHECK(target.fetches());
  T told = target, read = target, lost = target, whole = target, ended = target, late = target;
  whole.running();
  CHECK(whole.wants().complete);
  CHECK_FALSE(whole.fetches());
  whole.lost();                                  // whatever is lost now, nothing of it is the guest's
  CHECK_FALSE(whole.guest_lost());
  ended.ended();
  CHECK(ended.wants().complete);
  CHECK_FALSE(ended.guest_lost());
  late.source_lost();
  CHECK(late.nothing_more_comes());
  CHECK_FALSE(late.wants().complete);            // all may be here
  told.source_released();
  CHECK(told.wants().complete);
  read.stored(Owner::Target, false, false, false);
  CHECK(read.wants().complete);
  lost.lost();
  CHECK(lost.wants().complete);
  CHECK(lost.guest_lost());
}

TEST_CASE("source: cancelling ends the job, but not what is being released") {
  S source;
  source.stored(Owner::None, false, false);
  source.cancel();
  CHECK(source.wants().cancel_job);
  source.cancel_begun();
  CHECK_FALSE(source.wants().cancel_job);
  source.cancel_failed();
  CHECK(source.wants().cancel_job);
  source.target_loaded();
  CHECK_FALSE(source.wants().cancel_job);
}

TEST_CASE("target: runs the guest only when the source has let it go") {
  T target;
  target.launcher_known();
  target.loaded();
  CHECK_FALSE(target.wants().resume);
  target.link(true);
  CHECK(target.wants().say_loaded);
  target.loaded_said();
  CHECK(target.wants() == T::Wants{});
  SECTION("told so") { target.source_released(); }
  SECTION("read so") { target.stored(Owner::Target, false, false, false); }
  REQUIRE(target.wants().resume);
  target.running();
  CHECK_FALSE(target.wants().resume);
  CHECK(target.wants().complete);
  CHECK(target.wants().say_resumed);
  target.stored(Owner::None, false, true, false);
  target.resumed_said();
  CHECK(target.wants().done);
}

TEST_CASE("target: when it gives up") {
  struct Case { const char* name; std::function<void(T&)> events; bool gives_up; };
  const Case cases[] = {
      {"the source keeps it", [](T& t) { t.loaded(); t.source_kept(); }, true},
      {"the instance says so", [](T& t) { t.loaded(); t.stored(Owner::Source, true, false, false); }, true},
      {"it failed before anything came in", [](T& t) { t.launcher_known(); t.stored(Owner::None, true, false, false); }, true},
      {"another migration is under way", [](T& t) { t.loaded(); t.stored(Owner::None, false, false, true); }, true},
      {"loaded and failed, without a decision", [](T& t) { t.loaded(); t.stored(Owner::None, true, false, false); }, false},
      {"failed, before the launcher has told", [](T& t) { t.stored(Owner::Source, true, false, false); }, false},
      {"the link is gone", [](T& t) { t.loaded(); t.link(true); t.link(false); }, false},
      {"kept, after released", [](T& t) { t.loaded(); t.source_released(); t.source_kept(); }, false},
  };
  for (const Case& c : cases) {
    DYNAMIC_SECTION(c.name) {
      T target;
      c.events(target);
      CHECK(target.wants().abandon == c.gives_up);
      if (!c.gives_up) continue;
      target.abandoned();
      CHECK(target.wants().done);
    }
  }
}

TEST_CASE("target: a guest that is lost moves, so that its end is seen") {
  T target;
  target.loaded();
  target.source_released();
  target.lost();
  CHECK_FALSE(target.wants().resume);
  CHECK(target.wants().complete);
  CHECK(target.guest_lost());
}

TEST_CASE("the journal keeps a note over a restart") {
  TempDir dir{"journal"};
  Journal journal(dir.path() / "migrations");
  CHECK(journal.read("m1") == Note::None);
  REQUIRE(journal.write("m1", Note::MayRelease).ok());
  CHECK(Journal(dir.path() / "migrations").read("m1") == Note::MayRelease);
  REQUIRE(journal.write("m1", Note::Kept).ok());
  CHECK(journal.read("m1") == Note::Kept);
  CHECK(journal.read("m2") == Note::None);
  REQUIRE(write_file_atomic(dir.path() / "migrations/m3", "nonsense").ok());
  CHECK(journal.read("m3") == Note::MayRelease);
  journal.remove("m1");
  CHECK(journal.read("m1") == Note::None);
}
