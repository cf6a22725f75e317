// Who leaves a node that is to be empty.
#include <catch2/catch.hpp>

#include "virt-controller/evacuation/plan.hpp"

using namespace nodevirt;
using namespace nodevirt::virt_controller::evacuation;
using Keys = std::vector<std::string>;

namespace {

const Clock::WallTime kNow = *parse_time("2026-01-01T01:00:00Z");

Candidate one(std::string key, std::string strategy = "LiveMigrate", bool marked = true) {
  Candidate c;
  c.key = c.uid = std::move(key);
  c.strategy = std::move(strategy);
  c.phase = "Running";
  c.marked = marked;
  c.migratable = true;
  return c;
}

template <class F>
Candidate but(Candidate c, F change) {
  change(c);
  return c;
}

}  // namespace

TEST_CASE("the instances of a node that is to be empty") {
  struct Case {
    std::string name;
    std::vector<Candidate> candidates;
    bool drained;
    Keys migrate;
    std::size_t stays, moving;
  };
  const std::vector<Case> cases = {
      {"nobody was evicted", {one("a", "LiveMigrate", false)}, false, {}, 0, 0},
      {"an evicted one", {one("a")}, false, {"a"}, 0, 1},
      {"the drain taint sends all away", {one("a", "LiveMigrate", false)}, true, {"a"}, 0, 1},
      {"no more than two at once", {one("c"), one("b"), one("a")}, false, {"a", "b"}, 0, 3},
      {"the important ones first", {one("a"), one("b"), but(one("c"), [](auto& c) { c.priority = 9; })}, false, {"c", "a"}, 0, 3},
      {"one is on its way", {but(one("a"), [](auto& c) { c.migrating = c.evacuating = true; }), one("b"), one("c")}, false, {"b"}, 0, 3},
      {"a user's migration takes no place of ours", {but(one("a"), [](auto& c) { c.migrating = true; }), one("b"), one("c")}, false, {"b", "c"}, 0, 3},
      {"if possible, and it is", {one("a", "LiveMigrateIfPossible")}, false, {"a"}, 0, 1},
      {"if possible, and it is not", {but(one("a", "LiveMigrateIfPossible"), [](auto& c) { c.migratable = false; })}, true, {}, 1, 0},
      {"must, and cannot", {but(one("a"), [](auto& c) { c.migratable = false; c.obstacle = "a disk"; })}, false, {}, 1, 0},
      {"somebody else's", {one("a", "External")}, false, {}, 1, 0},
      {"none, and the node is drained", {one("a", "None", false)}, true, {}, 1, 0},
      {"on its way to its end", {but(one("a"), [](auto& c) { c.deleting = true; })}, true, {}, 0, 0},
      {"ended", {but(one("a"), [](auto& c) { c.phase = "Failed"; })}, true, {}, 0, 0},
      {"not yet running", {but(one("a"), [](auto& c) { c.phase = "Scheduled"; })}, true, {}, 0, 1},
      {"the pod of its last migration is still there", {but(one("a"), [](auto& c) { c.living_pods = 2; })}, false, {}, 0, 1},
  };
  for (const auto& c : cases)
    DYNAMIC_SECTION(c.name) {
      Plan p = plan(c.candidates, c.drained, 2, kNow);
      CHECK(p.migrate == c.migrate);
      CHECK(p.stays.size() == c.stays);
      CHECK(p.moving == c.moving);
    }
  Plan p = plan({but(one("a"), [](auto& c) { c.migratable = false; c.obstacle = "a disk of this node alone"; })}, false, 2, kNow);
  REQUIRE(p.stays.size() == 1);
  CHECK(p.stays[0] == Stay{"a", "it cannot be migrated: a disk of this node alone"});
}

TEST_CASE("what failed is tried again, later each time") {
  CHECK(backoff(0) == Clock::Duration::zero());
  CHECK(backoff(1) == std::chrono::seconds(20));
  CHECK(backoff(2) == std::chrono::seconds(40));
  CHECK(backoff(5) == std::chrono::seconds(320));
  CHECK(backoff(100) == std::chrono::minutes(10));
  auto failed = but(one("a"), [](auto& c) { c.failures = 2; c.failed_at = kNow - std::chrono::seconds(30); });
  Plan p = plan({failed, one("b")}, false, 1, kNow);
  CHECK(p.migrate == Keys{"b"});  // it does not take the place of who can go
  CHECK(p.again == std::chrono::seconds(10));
  failed.failed_at = kNow - std::chrono::seconds(40);
  CHECK(plan({failed}, false, 1, kNow).migrate == Keys{"a"});
  failed.failed_at = kNow + std::chrono::hours(1);  // a clock that was set back
  CHECK(plan({failed}, false, 1, kNow).again == std::chrono::seconds(40));
}
