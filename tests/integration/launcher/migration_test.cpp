// Live migrations between two launchers, with real libvirt daemons and QEMUs.
#include <catch2/catch.hpp>

#include <ctime>
#include <fstream>

#include "api/names.hpp"
#include "migrating_pair.hpp"

using namespace nodevirt;
using namespace nodevirt::test;
using Event = rpc::v1::MigrationEvent;

TEST_CASE("a guest moves to another launcher and counts on, and the source's pod ends well", "[migration]") {
  MigratingPair pair;
  pair.start();
  CHECK(pair.prepared.copied_disks_size() == 1);
  CHECK(pair.target->sync().error().reason == "MigrationTarget");
  CHECK(pair.resume().error().reason == "NotLoaded");
  CHECK(pair.release().error().reason == "NotMigrating");
  auto begun = pair.migrate();
  INFO((begun.ok() ? "" : begun.error().message));
  REQUIRE(begun.ok());
  CHECK(pair.migrate().ok());  // the same again
  pair.hand_over();
  CHECK(pair.release_for_sure().released());
  CHECK(pair.resume().ok());
  CHECK(pair.abandon().error().reason == "Resumed");
  CHECK(pair.cancel().error().reason == "Released");
  pair.check_moved();
  auto ended = pair.await_source(Event::ENDED);
  CHECK(ended.error().empty());
  CHECK(ended.sample().completed());
  CHECK(ended.sample().memory_processed_bytes() > 0);
  CHECK(ended.sample().iteration() > 0);
  CHECK(pair.target->sync().ok());
  // Refused until libvirt has noticed; the pod may be gone before its answer is out.
  REQUIRE(Pod::eventually([&] {
    auto deleted = pair.source.wait(pair.source.client().command(rpc::DomainCommand::Delete, pair.source.domain_request()));
    return deleted.ok() || deleted.error().code == Code::Unavailable;
  }));
  CHECK(pair.source.exit_code() == 0);
}

TEST_CASE("guests move in every way that a migration may be asked for", "[migration]") {
  struct Case {
    const char* name;
    MigratingPair::Options options;
    unsigned parallel = 0;
    const char* compression = "";
  };
  MigratingPair::Options busy{8u << 20}, other_image, scratch;
  other_image.same_image = false;
  scratch.empty_disk = true;
  for (auto& c : {Case{"busy, parallel streams", busy, 2}, Case{"another image file: the whole disk is copied", other_image},
                  Case{"with an empty disk", scratch}, Case{"xbzrle", busy, 0, "xbzrle"}, Case{"zlib over parallel streams", busy, 2, "zlib"}}) {
    DYNAMIC_SECTION(c.name) {
      MigratingPair pair(c.options);
      pair.start();
      auto q = pair.migrate_request();
      q.set_parallel_connections(c.parallel);
      q.set_compression(c.compression);
      q.set_max_downtime_ms(5000);
      auto begun = pair.migrate(q);
      INFO((begun.ok() ? "" : begun.error().message));
      REQUIRE(begun.ok());
      pair.hand_over();
      pair.check_moved();
      CHECK(pair.prepared.copied_disks_size() == (c.options.empty_disk ? 2 : 1));
      // The disk came along, and is written where the guest is now.
      REQUIRE(pair.target->wait(pair.target->client().command(rpc::DomainCommand::Kill, pair.target->domain_request())).ok());
      auto on_disk = pair.count_on_disk(*pair.target), told = pair.last_count();
      CHECK(on_disk % 16 == 0);
      CHECK(on_disk <= told);
      CHECK(on_disk + 32 > told);
      CHECK(pair.count_on_disk(pair.source) <= on_disk);
    }
  }
}

TEST_CASE("a migration that is cancelled leaves the guest unharmed; another may follow", "[migration]") {
  MigratingPair pair({16u << 20});
  pair.start();
  auto q = pair.migrate_request();
  q.set_bandwidth_mib_per_second(2);
  REQUIRE(pair.migrate(q).ok());
  while (pair.await_source(Event::SAMPLE).sample().memory_processed_bytes() == 0) {}
  auto other = q;
  other.set_migration_uid("another");
  CHECK(pair.migrate(other).error().reason == "MigrationUnderWay");
  auto too_early = pair.release();
  REQUIRE(too_early.ok());
  CHECK_FALSE(too_early->released());
  CHECK(too_early->why_kept() == "the guest runs here");
  REQUIRE(pair.cancel().ok());
  REQUIRE(Pod::eventually([&] { return pair.standing(pair.source).kind() == Event::ENDED; }));
  CHECK_FALSE(pair.standing(pair.source).error().empty());
  CHECK(pair.migrate(q).error().reason == "MigrationEnded");
  REQUIRE(pair.abandon().ok());
  CHECK(pair.abandon().ok());
  CHECK(pair.resume().error().reason == "Abandoned");
  CHECK_FALSE(pair.target->state().present());
  CHECK(pair.target->child("qemu-system") == 0);
  pair.check_stayed();
  // The throttle's ceiling and the like are back to what they were, and the next begins.
  CHECK(pair.migrate(other).ok());
}

TEST_CASE("a migration is steered: throttle within its ceiling, then bandwidth and downtime", "[migration][long]") {
  MigratingPair pair({12u << 20});
  pair.start();
  auto q = pair.migrate_request();
  q.set_bandwidth_mib_per_second(8);
  q.set_auto_converge(true);
  q.set_throttle_initial_percent(10);
  q.set_throttle_increment_percent(15);
  q.set_throttle_maximum_percent(30);
  q.set_max_downtime_ms(50);
  auto begun = pair.migrate(q);
  INFO((begun.ok() ? "" : begun.error().message));
  REQUIRE(begun.ok());
  unsigned most = 0, iterations = 0;
  for (auto until = std::chrono::steady_clock::now() + 40s; std::chrono::steady_clock::now() < until && (iterations < 6 || most < 30);) {
    auto e = pair.next_of_source();
    most = std::max(most, e.sample().throttle_percent());
    if (e.kind() == Event::ITERATION) iterations = e.sample().iteration();
  }
  CHECK(most > 0);
  CHECK(most <= 30);
  CHECK(iterations >= 3);
  rpc::v1::SteerRequest s;
  *s.mutable_domain() = pair.source.domain_request();
  s.set_migration_uid(pair.uid);
  s.set_throttle_maximum_percent(60);
  REQUIRE(pair.source.wait(pair.client(pair.source).steer(s)).ok());
  s.clear_throttle_maximum_percent();
  s.set_bandwidth_mib_per_second(0);
  s.set_max_downtime_ms(20000);
  REQUIRE(pair.source.wait(pair.client(pair.source).steer(s)).ok());
  pair.hand_over();
  pair.check_moved();
  s.set_migration_uid("another");
  CHECK(pair.source.wait(pair.client(pair.source).steer(s)).error().reason == "NotMigrating");
}

TEST_CASE("a guest is paused so that its memory comes to rest, and runs on at the target", "[migration][long]") {
  MigratingPair pair({16u << 20});
  pair.start();
  auto q = pair.migrate_request();
  q.set_bandwidth_mib_per_second(6);
  REQUIRE(pair.migrate(q).ok());
  while (pair.await_source(Event::SAMPLE).sample().memory_processed_bytes() == 0) {}
  rpc::v1::SteerRequest s;
  *s.mutable_domain() = pair.source.domain_request();
  s.set_migration_uid(pair.uid);
  s.set_pause_guest(true);
  REQUIRE(pair.source.wait(pair.client(pair.source).steer(s)).ok());
  pair.await_target(Event::LOADED);
  auto released = pair.release_for_sure();
  CHECK(released.released());
  CHECK_FALSE(released.guest_was_paused());
  REQUIRE(pair.resume().ok());
  pair.check_moved();
}

TEST_CASE("a guest that its user has paused stays paused where it comes to", "[migration]") {
  MigratingPair pair;
  pair.start();
  REQUIRE(pair.source.wait(pair.source.client().command(rpc::DomainCommand::Pause, pair.source.domain_request())).ok());
  REQUIRE(pair.migrate().ok());
  pair.await_target(Event::LOADED);
  auto released = pair.release_for_sure();
  REQUIRE(released.released());
  CHECK(released.guest_was_paused());
  REQUIRE(pair.resume(true).ok());
  CHECK(pair.target->state().state() == "Paused");
  REQUIRE(pair.target->wait(pair.target->client().command(rpc::DomainCommand::Unpause, pair.target->domain_request())).ok());
  pair.check_moved();
}

namespace {

/// Lets unprivileged programs use userfaultfd, or not, for a while.
class Userfaultfd {
 public:
  explicit Userfaultfd(bool on) : before_(read_file(kPath, 16).value_or("")) { set(on ? "1" : "0"); }
  ~Userfaultfd() { set(before_); }

 private:
  static constexpr const char* kPath = "/proc/sys/vm/unprivileged_userfaultfd";
  static void set(const std::string& value) { std::ofstream(kPath) << value; }
  std::string before_;
};

rpc::v1::SteerRequest to_post_copy(const MigratingPair& pair) {
  rpc::v1::SteerRequest s;
  *s.mutable_domain() = pair.source.domain_request();
  s.set_migration_uid(pair.uid);
  s.set_start_post_copy(true);
  return s;
}

void migrate_slowly(MigratingPair& pair) {
  auto q = pair.migrate_request();
  q.set_bandwidth_mib_per_second(8);
  q.set_parallel_connections(2);
  q.set_compression("zlib");  // which keeps the parallel streams
  q.set_max_downtime_ms(1);
  q.set_allow_post_copy(true);
  REQUIRE(pair.migrate(q).ok());
  while (pair.await_source(Event::SAMPLE).sample().memory_processed_bytes() == 0) {}
}

}  // namespace

TEST_CASE("post-copy: the guest runs at the target while its memory still comes, and cannot be taken back", "[migration]") {
  Userfaultfd allowed(true);
  MigratingPair pair({16u << 20});
  pair.start();
  REQUIRE(pair.prepared.post_copy_possible());
  migrate_slowly(pair);
  auto steered = pair.source.wait(pair.client(pair.source).steer(to_post_copy(pair)));
  INFO((steered.ok() ? "" : steered.error().message));
  REQUIRE(steered.ok());
  pair.await_source(Event::POST_COPY);
  CHECK(pair.cancel().error().reason == "PostCopy");
  pair.await_target(Event::POST_COPY);
  CHECK(pair.resume().ok());
  CHECK(pair.abandon().error().reason == "Resumed");
  auto ended = pair.await_source(Event::ENDED);
  CHECK(ended.error().empty());
  pair.check_moved();
}

TEST_CASE("post-copy is refused where the target may not use userfaultfd", "[migration]") {
  Userfaultfd forbidden(false);
  MigratingPair pair({16u << 20});
  pair.start();
  CHECK_FALSE(pair.prepared.post_copy_possible());
  migrate_slowly(pair);
  CHECK(pair.source.wait(pair.client(pair.source).steer(to_post_copy(pair))).error().reason == "PostCopyImpossible");
  REQUIRE(pair.cancel().ok());
  CHECK(pair.await_end().error() == "cancelled");
  pair.check_stayed();
}

TEST_CASE("the fence is the target's once the guest is there", "[migration][long]") {
  MigratingPair pair;
  pair.start();
  timespec now{};
  ::clock_gettime(CLOCK_BOOTTIME, &now);
  auto in = [&](long ms) { return static_cast<std::uint64_t>(now.tv_sec) * 1000 + static_cast<std::uint64_t>(now.tv_nsec / 1000000 + ms); };
  REQUIRE(pair.target->wait(pair.target->client().renew_fence(in(60000))).ok());
  REQUIRE(pair.migrate().ok());
  pair.hand_over();
  pair.check_moved();
  REQUIRE(pair.target->wait(pair.target->client().renew_fence(in(1))).ok());
  CHECK(pair.target->exit_code() == 4);
  CHECK(pair.source.exit_code() == 0);  // by itself, a while after the guest has left
}

TEST_CASE("the dirty rate is measured by page sampling", "[migration]") {
  for (std::uint32_t span : {0u, 8u << 20}) {
    DYNAMIC_SECTION((span ? "a guest that rewrites 8 MiB over and over" : "a guest that sleeps")) {
      MigratingPair pair({span});
      pair.start();
      rpc::v1::DirtyRateRequest q;
      *q.mutable_domain() = pair.source.domain_request();
      q.set_period_ms(1000);
      auto rate = pair.source.wait(pair.client(pair.source).get_dirty_rate(q));
      INFO((rate.ok() ? "" : rate.error().message));
      REQUIRE(rate.ok());
      if (!span) CHECK(rate->bytes_per_second() <= (2u << 20));
      if (span) CHECK(rate->bytes_per_second() >= (4u << 20));
      CHECK(rate->bytes_per_second() <= (12u << 20));  // it tells pages, however often they were written
    }
  }
}

// Statistics of real jobs for the tests of the policy: NV_RECORD_SAMPLES=FOLDER integration_launcher "[record]"
TEST_CASE("record samples", "[.record]") {
  struct Case { const char* name; MigratingPair::Options options; unsigned bandwidth; bool auto_converge; int seconds; };
  MigratingPair::Options disks{0};
  disks.disk_bytes = 24u << 20;
  disks.same_image = false;  // so that the whole disk is copied
  for (auto& c : {Case{"idle", {0}, 0, false, 0}, Case{"disks-limited", disks, 8, false, 0}, Case{"idle-limited", {0}, 2, false, 0}, Case{"busy-unlimited", {16u << 20, "64Mi"}, 0, false, 0},
                  Case{"busy-limited-never", {24u << 20, "64Mi"}, 16, false, 30}, Case{"busy-limited-auto-converge", {24u << 20, "64Mi"}, 16, true, 45}}) {
    DYNAMIC_SECTION(c.name) {
      auto options = c.options;
      options.name = c.name;
      MigratingPair pair(options);
      pair.start();
      auto q = pair.migrate_request();
      q.set_bandwidth_mib_per_second(c.bandwidth);
      q.set_auto_converge(c.auto_converge);
      q.set_max_downtime_ms(300);
      REQUIRE(pair.migrate(q).ok());
      bool ended = false;
      for (auto until = std::chrono::steady_clock::now() + std::chrono::seconds(c.seconds); !ended && std::chrono::steady_clock::now() < until;) {
        auto kind = pair.next_of_source().kind();
        ended = kind == Event::SWITCHOVER || kind == Event::ENDED;
      }
      if (c.seconds) {
        rpc::v1::SteerRequest s;
        *s.mutable_domain() = pair.source.domain_request();
        s.set_migration_uid(pair.uid);
        s.set_max_downtime_ms(20000);
        [[maybe_unused]] auto steered = pair.source.wait(pair.client(pair.source).steer(s));
      }
      pair.hand_over();
      pair.await_source(Event::ENDED);
    }
  }
}
