// A migration that is called off at every moment: the guest stays, or the answer says why it cannot.
#include <catch2/catch.hpp>

#include "api/names.hpp"
#include "migrating_pair.hpp"

using namespace nodevirt;
using namespace nodevirt::test;
using Event = rpc::v1::MigrationEvent;

TEST_CASE("cancelled while the guest could still stay", "[migration]") {
  struct Case {
    const char* name;
    std::uint32_t span;
    std::uint64_t bandwidth;
    std::function<bool(const rpc::v1::MigrationSample&)> moment;
  };
  for (auto& c : {Case{"before libvirt has begun its job", 0, 0, nullptr},
                  Case{"while disks are copied", 0, 2, [](auto& s) { return s.disk_processed_bytes() > 0; }},
                  Case{"in the first pass", 16u << 20, 4, [](auto& s) { return s.memory_processed_bytes() > 0; }},
                  Case{"in a later pass", 8u << 20, 16, [](auto& s) { return s.iteration() >= 3; }}}) {
    DYNAMIC_SECTION(c.name) {
      MigratingPair::Options o;
      o.span = c.span;
      bool disks = std::string(c.name).find("disks") != std::string::npos;
      if (disks) {
        o.same_image = false;
        o.disk_bytes = 24u << 20;
      }
      MigratingPair pair(o);
      pair.start();
      CHECK(pair.cancel().error().reason == "NotMigrating");
      auto q = pair.migrate_request();
      q.set_bandwidth_mib_per_second(c.bandwidth);
      q.set_max_downtime_ms(1);
      q.set_sample_interval_ms(50);
      REQUIRE(pair.migrate(q).ok());
      if (c.moment)
        for (;;) {
          auto e = pair.next_of_source();
          INFO(e.error());
          REQUIRE(e.kind() != Event::ENDED);
          if (!c.moment(e.sample())) continue;
          if (disks) CHECK(e.sample().memory_processed_bytes() == 0);
          break;
        }
      auto cancelled = pair.cancel();
      INFO((cancelled.ok() ? "" : cancelled.error().message));
      REQUIRE(cancelled.ok());
      CHECK(pair.cancel().ok());
      CHECK(pair.await_end().error() == "cancelled");
      CHECK(pair.cancel().ok());
      CHECK(pair.migrate(q).error().reason == "MigrationEnded");
      REQUIRE(pair.abandon().ok());
      pair.check_target_is_clean();
      pair.check_stayed();
      pair.next_migration("b2a7a4a0-0000-4000-8000-000000000002");
      CHECK(pair.cancel().error().reason == "NotMigrating");
      q = pair.migrate_request();
      q.set_max_downtime_ms(10000);
      REQUIRE(pair.migrate(q).ok());
      pair.hand_over();
      pair.check_moved();
      CHECK(pair.cancel().error().reason == "Released");
    }
  }
}

TEST_CASE("cancelled when all has been sent: refused, and the guest goes on at the target", "[migration]") {
  MigratingPair pair;
  Relay relay(pair.source.path(api::kMigrationDir) / "source-libvirt.sock", pair.target->path(api::kMigrationDir) / "target-libvirt.sock");
  pair.start();
  auto q = pair.migrate_request();
  q.set_bandwidth_mib_per_second(2);
  REQUIRE(pair.migrate(q).ok());
  while (pair.await_source(Event::SAMPLE).sample().memory_processed_bytes() == 0) {}
  relay.hold_answers();  // else libvirt ends the source by itself within moments
  pair.await_target(Event::LOADED);
  auto refused = pair.cancel();
  REQUIRE_FALSE(refused.ok());
  CHECK(refused.error().reason == "SwitchedOver");
  CHECK(refused.error().message.find("goes on at the target") != std::string::npos);
  auto released = pair.release_for_sure();
  REQUIRE(released.released());
  CHECK(pair.cancel().error().reason == "Released");
  relay.cut();
  REQUIRE(pair.resume().ok());
  pair.check_moved();
}
