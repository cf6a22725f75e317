// What dies in the middle of a migration: after each fault the guest runs on exactly one side, with every count told.
#include <catch2/catch.hpp>

#include <csignal>
#include <sys/stat.h>

#include "api/names.hpp"
#include "migrating_pair.hpp"

using namespace nodevirt;
using namespace nodevirt::test;
using Event = rpc::v1::MigrationEvent;

namespace {

// One failpoint, once, in one of the launchers.
std::string armed(const TempDir& once, const std::string& failpoint) {
  ::chmod(once.path().c_str(), 0777);
  return "NODEVIRT_FAILPOINTS=" + failpoint + "=kill\nNODEVIRT_FAILPOINTS_ONCE_DIR=" + once.path().string();
}

void begin(MigratingPair& pair, std::uint64_t bandwidth = 0) {
  auto q = pair.migrate_request();
  q.set_bandwidth_mib_per_second(bandwidth);
  for (int tries = 0; tries < 50; ++tries) {
    auto begun = pair.migrate(q);
    if (begun.ok() || begun.error().reason == "MigrationEnded") return;
    INFO(begun.error().message);
    REQUIRE(begun.error().code == Code::Unavailable);
    pair.source.forget_client();
    pair.source.client();
  }
}

// While the memory goes over the daemons do not talk: the next answer is the last one, that the guest is whole at the target.
void lose_the_last_answer(MigratingPair& pair, Relay& relay) {
  REQUIRE(Pod::eventually([&] { return pair.standing(pair.source).sample().memory_processed_bytes() > 0; }));
  relay.hold_answers();
  pair.await_target(Event::LOADED);
}

void check(MigratingPair& pair, bool moved) {
  if (moved) pair.check_moved();
  else pair.check_stayed();
}

void kill_child(Pod& pod, const char* name) {
  pid_t victim = pod.child(name);
  REQUIRE(victim > 0);
  ::kill(victim, SIGKILL);
}

}  // namespace

TEST_CASE("kill -9 of the source's launcher at each of its steps", "[migration][long]") {
  for (const char* failpoint : {"launcher-migrate-before-record", "launcher-migrate-before-job", "launcher-migrate-at-sample",
                                "launcher-migrate-at-switchover", "launcher-migrate-job-over", "launcher-release-before-freeze",
                                "launcher-release-frozen", "launcher-release-recorded", "launcher-release-killed"}) {
    DYNAMIC_SECTION(failpoint) {
      TempDir once("nvonce");
      MigratingPair::Options o;
      o.source_environment = armed(once, failpoint);
      MigratingPair pair(o);
      Relay relay(pair.source.path(api::kMigrationDir) / "source-libvirt.sock", pair.target->path(api::kMigrationDir) / "target-libvirt.sock");
      pair.start();
      bool release = std::string(failpoint).starts_with("launcher-release");
      begin(pair, release || std::string(failpoint).ends_with("at-sample") ? 2 : 0);
      if (release) {
        // With an answer libvirt would end the source's QEMU by itself.
        lose_the_last_answer(pair, relay);
        auto cut_short = pair.release();
        CHECK((!cut_short.ok() && cut_short.error().code == Code::Unavailable));
        pair.source.forget_client();
      }
      bool moved = pair.settle();
      check(pair, moved);
      if (release) CHECK(moved);
      if (std::string(failpoint) != "launcher-migrate-job-over") CHECK_FALSE(std::filesystem::is_empty(once.path()));
    }
  }
}

TEST_CASE("kill -9 of the target's launcher at each of its steps", "[migration][long]") {
  for (const char* failpoint : {"launcher-target-before-prepare", "launcher-target-prepared", "launcher-target-at-loaded",
                                "launcher-target-resume-recorded", "launcher-target-resumed"}) {
    DYNAMIC_SECTION(failpoint) {
      TempDir once("nvonce");
      MigratingPair::Options o;
      o.target.environment = armed(once, failpoint);
      MigratingPair pair(o);
      pair.start();
      begin(pair);
      check(pair, pair.settle());
      CHECK(pair.standing(*pair.target).kind() == Event::RESUMED);
      CHECK_FALSE(std::filesystem::is_empty(once.path()));
    }
  }
}

TEST_CASE("kill -9 of the target's launcher while it gives up", "[migration][long]") {
  for (const char* failpoint : {"launcher-target-abandon-recorded", "launcher-target-destroyed"}) {
    DYNAMIC_SECTION(failpoint) {
      TempDir once("nvonce");
      MigratingPair::Options o;
      o.target.environment = armed(once, failpoint);
      MigratingPair pair(o);
      pair.start();
      begin(pair, 2);
      REQUIRE(Pod::eventually([&] { return pair.target->child("qemu-system") > 0; }));
      CHECK(pair.abandon().error().code == Code::Unavailable);
      pair.target->forget_client();
      REQUIRE(pair.abandon().ok());
      CHECK(Pod::eventually([&] { return pair.target->child("qemu-system") == 0; }));
      CHECK_FALSE(pair.settle());
      pair.check_stayed();
    }
  }
}

TEST_CASE("a daemon or a QEMU that dies in the middle of a migration", "[migration][long]") {
  struct Case { const char* name; bool on_source; const char* victim; bool when_loaded; };
  for (auto& c : {Case{"source's libvirtd, in pre-copy", true, "libvirtd", false}, Case{"source's libvirtd, loaded", true, "libvirtd", true},
                  Case{"target's libvirtd, in pre-copy", false, "libvirtd", false}, Case{"target's libvirtd, loaded", false, "libvirtd", true},
                  Case{"target's QEMU, in pre-copy", false, "qemu-system", false}, Case{"both of the source's", true, "both", true}}) {
    DYNAMIC_SECTION(c.name) {
      MigratingPair pair;
      pair.start();
      begin(pair, c.when_loaded ? 0 : 1);
      if (c.when_loaded) pair.await_target(Event::LOADED);
      else REQUIRE(Pod::eventually([&] { return pair.standing(pair.source).sample().memory_processed_bytes() > 0; }));
      Pod& pod = c.on_source ? pair.source : *pair.target;
      if (std::string(c.victim) == "both") {
        kill_child(pod, "libvirtd");
        kill_child(pod, "virt-launcher");
        pod.forget_client();
      } else {
        kill_child(pod, c.victim);
      }
      bool moved = pair.settle();
      check(pair, moved);
      if (!c.when_loaded) CHECK_FALSE(moved);
      if (c.on_source && !c.when_loaded) CHECK(pair.standing(pair.source).error().find("the source's libvirtd has ended") != std::string::npos);
    }
  }
}

// libvirt's call at the source then waits for the target's daemon (until its keep-alive says that it is gone).
TEST_CASE("the source's QEMU is killed, and libvirt's call does not return: the migration ends all the same", "[migration]") {
  MigratingPair pair;
  pair.start();
  begin(pair, 1);
  REQUIRE(Pod::eventually([&] { return pair.standing(pair.source).sample().memory_processed_bytes() > 0; }));
  pid_t daemon = pair.target->child("libvirtd");
  REQUIRE(daemon > 0);
  REQUIRE(::kill(daemon, SIGSTOP) == 0);
  kill_child(pair.source, "qemu-system");
  auto ended = pair.await_end();
  ::kill(daemon, SIGCONT);
  CHECK(ended.error() == "the guest has ended");   // libvirt would have told of the lost connection
  CHECK(pair.source.exit_code() == 1);
}

TEST_CASE("the last answer is lost: the source is frozen, found paused, and released; libvirt's own plan comes too late", "[migration]") {
  for (bool cut_first : {false, true}) {
    DYNAMIC_SECTION((cut_first ? "the source's libvirt knows of the loss first" : "the source's libvirt waits")) {
      MigratingPair pair;
      Relay relay(pair.source.path(api::kMigrationDir) / "source-libvirt.sock", pair.target->path(api::kMigrationDir) / "target-libvirt.sock");
      pair.start();
      begin(pair, 2);
      lose_the_last_answer(pair, relay);
      if (cut_first) {
        relay.cut();
        // libvirt lets the guest go on: then it is kept, however late the question comes.
        REQUIRE(Pod::eventually([&] { return pair.source.state().state() == "Running"; }));
        auto kept = pair.release_for_sure();
        CHECK_FALSE(kept.released());
        CHECK(kept.why_kept() == "the guest runs here");
        REQUIRE(pair.abandon().ok());
        pair.check_stayed();
        continue;
      }
      pid_t qemu = pair.source.child("qemu-system");
      CHECK(qemu > 0);
      auto released = pair.release_for_sure();
      REQUIRE(released.released());
      CHECK(Pod::has_left(qemu));
      CHECK(Pod::eventually([&] { return pair.source.child("qemu-system") == 0; }));
      relay.cut();
      REQUIRE(pair.resume().ok());
      pair.check_moved();
    }
  }
}

TEST_CASE("the link between the daemons is cut in the handover", "[migration][long]") {
  for (Event::Kind when : {Event::SWITCHOVER, Event::LOADED})
    for (bool hold : {false, true}) {
      DYNAMIC_SECTION((hold ? "held at " : "cut at ") << Event::Kind_Name(when)) {
        MigratingPair pair;
        std::filesystem::path at = pair.source.path(api::kMigrationDir) / "source-libvirt.sock";
        Relay relay(at, pair.target->path(api::kMigrationDir) / "target-libvirt.sock");
        pair.start();
        begin(pair);
        if (when == Event::LOADED) pair.await_target(when);
        else pair.await_source(when);
        if (hold) relay.hold(true);
        else relay.cut();
        if (hold) {  // libvirt waits for an answer that does not come; the handlers close the link in the end
          if (when == Event::SWITCHOVER) std::this_thread::sleep_for(std::chrono::milliseconds(300));
          relay.cut();
          relay.hold(false);
        }
        check(pair, pair.settle());
      }
    }
}

TEST_CASE("a target whose guest never came is given up", "[migration]") {
  MigratingPair pair;
  pair.start();
  REQUIRE(pair.abandon().ok());
  CHECK(pair.target->sync().error().reason == "MigrationTarget");
  begin(pair);  // comes late, and is not let live
  CHECK_FALSE(pair.settle());
  pair.check_stayed();
  CHECK(Pod::eventually([&] { return pair.target->child("qemu-system") == 0; }));
}
