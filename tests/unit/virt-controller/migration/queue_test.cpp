// Who may begin, and what the others are told.
#include <catch2/catch.hpp>

#include "virt-controller/migration/queue.hpp"

using namespace nodevirt::virt_controller::migration;
using Uids = std::vector<std::string>;

namespace {

QueueEntry entry(std::string uid, std::string node, int priority = 0, bool active = false) {
  QueueEntry e{uid, "n/" + uid, std::move(node), "2026-01-01T00:00:00Z", priority, active};
  return e;
}

}  // namespace

TEST_CASE("migrations begin by priority and age, within the limits") {
  struct Case {
    std::string name;
    std::vector<QueueEntry> entries;
    QueueLimits limits;
    Uids want;
  };
  auto late = entry("a", "x");
  late.created = "2026-01-01T00:00:09Z";
  auto blind = entry("a", "x", 100);
  blind.eligible = false;
  auto twin = entry("b", "y");
  twin.instance = "n/a";
  auto begun_twin = twin;
  begun_twin.active = true;
  const std::vector<Case> cases = {
      {"nobody is there", {}, {5, 2}, {}},
      {"two of a node, by uid", {entry("c", "x"), entry("b", "x"), entry("a", "x")}, {5, 2}, {"a", "b"}},
      {"the more important first", {entry("a", "x", 0), entry("b", "x", 50), entry("c", "x", 100)}, {5, 2}, {"c", "b"}},
      {"the older first", {late, entry("b", "x"), entry("c", "x")}, {5, 2}, {"b", "c"}},
      {"a full node holds nobody else back", {entry("a", "x", 100), entry("r", "x", 0, true), entry("s", "x", 0, true), entry("b", "y")}, {5, 2}, {"b"}},
      {"a full cluster holds all back", {entry("a", "x"), entry("r", "y", 0, true), entry("s", "z", 0, true)}, {2, 2}, {}},
      {"one place in the cluster", {entry("a", "x"), entry("b", "y"), entry("r", "z", 0, true)}, {2, 2}, {"a"}},
      {"one that cannot be migrated takes no place", {blind, entry("b", "x"), entry("c", "x")}, {5, 2}, {"b", "c"}},
      {"one of an instance at a time", {entry("a", "x"), twin}, {5, 2}, {"a"}},
      {"none beside one that runs", {entry("a", "x"), begun_twin}, {5, 2}, {}},
      {"no places at all", {entry("a", "x")}, {0, 2}, {}},
  };
  for (const auto& c : cases) DYNAMIC_SECTION(c.name) { CHECK(may_begin(c.entries, c.limits) == c.want); }
}

TEST_CASE("who waits is told why") {
  std::vector<QueueEntry> all = {entry("a", "x", 100), entry("b", "x"), entry("r", "x", 0, true), entry("s", "x", 0, true), entry("c", "y"), entry("d", "y")};
  CHECK(why_it_waits(all, {5, 2}, "a") == "queued: 2 of 2 migrations away from node x run");
  CHECK(why_it_waits(all, {5, 2}, "b") == "queued: 2 of 2 migrations away from node x run, 1 before it");
  CHECK(why_it_waits(all, {5, 2}, "c").empty());
  CHECK(why_it_waits(all, {2, 2}, "d") == "queued: 2 of 2 migrations of the cluster run, 3 before it");
  CHECK(why_it_waits(all, {5, 2}, "r").empty());
  CHECK(why_it_waits(all, {5, 2}, "unknown").empty());
}

TEST_CASE("of two migrations of an instance the older one stays") {
  auto a = entry("a", "x"), b = entry("b", "x");
  b.instance = a.instance;
  CHECK(rival_of({a, b}, "a").empty());
  CHECK(rival_of({a, b}, "b") == "a");
  b.created = "2025-01-01T00:00:00Z";
  CHECK(rival_of({a, b}, "a") == "b");
  a.active = true;
  CHECK(rival_of({a, b}, "a").empty());
  CHECK(rival_of({a, b}, "b") == "a");
}

TEST_CASE("names of priorities") {
  CHECK(priority_value("system-critical") > priority_value("user-triggered"));
  CHECK(priority_value("user-triggered") > priority_value("system-maintenance"));
  CHECK(priority_value("system-maintenance") > priority_value(""));
  CHECK(priority_value("nonsense") == 0);
}
