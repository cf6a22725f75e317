// When volumes that are to move get a migration.
#include <catch2/catch.hpp>

#include "virt-controller/volume_move/plan.hpp"

using namespace nodevirt;
using namespace nodevirt::virt_controller::volume_move;
using namespace std::chrono_literals;

TEST_CASE("a migration for volumes that are to move") {
  const auto now = *parse_time("2026-01-01T01:00:00Z");
  Observation ready;
  ready.phase = "Running";
  ready.moves = ready.migratable = true;
  struct Case { std::string name; std::function<void(Observation&)> change; bool migrate; std::optional<Clock::Duration> again; };
  const std::vector<Case> cases = {
      {"all is ready", [](auto&) {}, true, {}},
      {"nothing moves", [](auto& o) { o.moves = false; }, false, {}},
      {"virt-handler has not looked yet", [](auto& o) { o.migratable = false; }, false, {}},
      {"one is under way", [](auto& o) { o.migrating = true; }, false, {}},
      {"a pod of the last one is left", [](auto& o) { o.living_pods = 2; }, false, {}},
      {"it does not run", [](auto& o) { o.phase = "Scheduled"; }, false, {}},
      {"it goes", [](auto& o) { o.deleting = true; }, false, {}},
      {"the cluster's owner does it by hand", [](auto& o) { o.allowed = false; }, false, {}},
      {"it has just failed", [&](auto& o) { o.failures = 1; o.failed_at = now - 5s; }, false, 15s},
      {"it failed a while ago", [&](auto& o) { o.failures = 1; o.failed_at = now - 20s; }, true, {}},
      {"it failed three times", [&](auto& o) { o.failures = 3; o.failed_at = now - 20s; }, false, 60s},
  };
  for (const auto& c : cases)
    DYNAMIC_SECTION(c.name) {
      Observation seen = ready;
      c.change(seen);
      Plan p = plan(seen, now);
      CHECK(p.migrate == c.migrate);
      CHECK(p.again == c.again);
    }
}

TEST_CASE("the cluster's workload update methods") {
  CHECK(may_migrate(Json()));
  CHECK(may_migrate({{"spec", Json::object()}}));
  CHECK(may_migrate({{"spec", {{"workloadUpdateStrategy", {{"workloadUpdateMethods", {"Evict", "LiveMigrate"}}}}}}}));
  CHECK_FALSE(may_migrate({{"spec", {{"workloadUpdateStrategy", {{"workloadUpdateMethods", {"Evict"}}}}}}}));
}
