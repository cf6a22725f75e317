// What virtctl migrate and evacuate show.
#include <catch2/catch.hpp>

#include "api/migration_progress.hpp"
#include "api/names.hpp"
#include "virtctl/migrate/evacuation.hpp"
#include "virtctl/migrate/render.hpp"

using namespace nodevirt;
using namespace nodevirt::virtctl;

namespace {

Json migration(const char* phase) {
  api::MigrationProgress p;
  p.uid = "m1";
  p.mode = "PreCopy";
  p.iteration = 3;
  p.total_bytes = 1u << 30;
  p.remaining_bytes = 1u << 28;
  p.processed_bytes = 3u << 28;
  p.dirty_rate = 12u << 20;
  p.throttle_percent = 20;
  p.predicted_downtime_ms = 300;
  p.predicted_end_s = 4;
  Json m = {{"metadata", {{"name", "m"}, {"namespace", "n"}, {"uid", "m1"}, {"creationTimestamp", "2026-01-01T00:00:00Z"}}},
            {"spec", {{"vmiName", "vm"}}},
            {"status", {{"phase", phase}, {"migrationState", {{"sourceNode", "node1"}, {"targetNode", "node2"}}}}}};
  m["metadata"]["annotations"][std::string(api::kMigrationProgressAnnotation)] = api::format_migration_progress(p);
  m["metadata"]["annotations"][std::string(api::kMigrationSummaryAnnotation)] = "a line";
  return m;
}

Json vmi(const std::string& name, const char* strategy, const char* migratable, const char* node = "node1") {
  Json out = {{"metadata", {{"name", name}, {"namespace", "n"}, {"uid", "u-" + name}}}, {"spec", Json::object()}, {"status", {{"phase", "Running"}, {"nodeName", node}}}};
  if (*strategy) out["spec"]["evictionStrategy"] = strategy;
  if (*migratable) out["status"]["conditions"] = Json::array({Json{{"type", "LiveMigratable"}, {"status", migratable}, {"message", "a local disk"}}});
  return out;
}

Json list(std::vector<Json> items) { return {{"items", std::move(items)}}; }

}  // namespace

TEST_CASE("the bar says as much as there is room for") {
  Json m = migration("Running");
  std::string wide = migration_bar(m, 200);
  CHECK_THAT(wide, Catch::StartsWith("[==================>     ]  75 %  iteration 3  256 MiB left  ends in 4.0 s  dirty 12"));
  for (const char* part : {"throttle 20 %", "pause 0.3 s", "768 MiB sent"}) CHECK_THAT(wide, Catch::Contains(part));
  for (std::size_t width : {20u, 40u, 80u, 120u}) CHECK(migration_bar(m, width).size() <= width);
  CHECK_THAT(migration_bar(m, 40), Catch::Contains("iteration 3"));
  CHECK_THAT(migration_bar(migration("Scheduling"), 80), Catch::EndsWith("  0 %  Scheduling: a line"));
  CHECK_THAT(migration_bar(migration("Succeeded"), 80), Catch::Contains("100 %"));
  Json bare = {{"metadata", Json::object()}};
  CHECK_THAT(migration_bar(bare, 80), Catch::EndsWith("Pending"));
  CHECK(migration_line(m) == "Running: a line");
}

TEST_CASE("the bar shows the disks' copy, and the end as it was") {
  Json m = migration("Running");
  auto told = *api::parse_migration_progress(string_at(m, {"metadata", "annotations", api::kMigrationProgressAnnotation}));
  auto show = [&](const char* phase) {
    m["metadata"]["annotations"][std::string(api::kMigrationProgressAnnotation)] = api::format_migration_progress(told);
    m["status"]["phase"] = phase;
    return migration_bar(m, 120);
  };
  told.iteration = 0;
  told.disk_total_bytes = 24u << 20;
  told.disk_remaining_bytes = 6u << 20;
  CHECK_THAT(show("Running"), Catch::Contains("copies disks: 6.0 MiB of 24 MiB left"));

  // The end is known before the phase says so, and the other way round.
  const std::string full = "[" + std::string(24, '=') + "] 100 %  ";
  CHECK(show("Succeeded") == full + "Succeeded: done");
  CHECK_FALSE(has_last_word(m));
  m["status"]["migrationState"]["startTimestamp"] = "2026-01-01T00:00:00Z";
  m["status"]["migrationState"]["endTimestamp"] = "2026-01-01T00:00:05Z";
  CHECK(show("Succeeded") == full + "Succeeded: done in 5.0 s");
  told.iteration = 3;
  told.remaining_bytes = 0;
  told.done = true;
  told.seconds = 4.2;
  told.downtime_ms = 61;
  CHECK(show("Running") == full + "Running: all of the guest is at the target");
  CHECK(show("Succeeded") == full + "Succeeded: done in 4.2 s with a pause of 0.06 s, 768 MiB sent in 3 iterations");
  CHECK(has_last_word(m));
  CHECK(migration_line(m) == "Succeeded: done in 4.2 s with a pause of 0.06 s, 768 MiB sent in 3 iterations");
  CHECK(closing_line("vm", m) == "VM vm was migrated from node node1 to node node2 in 4.2 s with a pause of 0.06 s, 768 MiB sent in 3 iterations");
}

TEST_CASE("how a migration ended") {
  Json m = migration("Failed");
  CHECK(outcome_of(m) == MigrationOutcome::Failed);
  m["status"]["migrationState"]["failureReason"] = "no memory";
  CHECK(closing_line("vm", m) == "the migration of VM vm failed: no memory; it stays on node node1");
  m["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z";
  CHECK(outcome_of(m) == MigrationOutcome::Cancelled);
  m = migration("Succeeded");
  m["status"]["migrationState"]["startTimestamp"] = "2026-01-01T00:00:00Z";
  m["status"]["migrationState"]["endTimestamp"] = "2026-01-01T00:00:07Z";
  CHECK_THAT(closing_line("vm", m), Catch::StartsWith("VM vm was migrated from node node1 to node node2 in 7"));
  CHECK(outcome_of(migration("Running")) == MigrationOutcome::Running);
}

TEST_CASE("who leaves a node and who stays") {
  using Fate = Evacuee::Fate;
  struct Case {
    std::string name;
    Json vmi;
    std::string fallback;
    bool shut_down;
    Fate fate;
    std::string why;
  };
  Json marked = vmi("vm", "LiveMigrate", "True");
  marked["status"]["evacuationNodeName"] = "node1";
  Json ending = vmi("vm", "None", "True");
  ending["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z";
  const std::vector<Case> cases = {
      {"it migrates", vmi("vm", "LiveMigrate", "True"), "None", false, Fate::Evict, "waits"},
      {"it is asked already", marked, "None", false, Fate::Moves, "Running: a line"},
      {"it cannot", vmi("vm", "LiveMigrate", "False"), "None", false, Fate::Stays, "cannot be migrated: a local disk"},
      {"nobody knows whether it can", vmi("vm", "LiveMigrate", ""), "None", false, Fate::Stays, "nothing is known"},
      {"the cluster's strategy", vmi("vm", "", "True"), "LiveMigrate", false, Fate::Evict, "waits"},
      {"if possible it is not", vmi("vm", "LiveMigrateIfPossible", "False"), "None", false, Fate::Stays, "--shut-down"},
      {"none", vmi("vm", "", "True"), "None", false, Fate::Stays, "evictionStrategy is None"},
      {"none, and it may be ended", vmi("vm", "None", "True"), "None", true, Fate::Evict, "is shut down"},
      {"somebody else's", vmi("vm", "External", "True"), "None", false, Fate::Evict, "External"},
      {"on its way to its end", ending, "None", false, Fate::Ends, "shut down"},
  };
  for (const auto& c : cases)
    DYNAMIC_SECTION(c.name) {
      auto all = evacuees(list({c.vmi}), list({}), list({migration("Running")}), "node1", c.fallback, c.shut_down);
      REQUIRE(all.size() == 1);
      CHECK(all[0].fate == c.fate);
      CHECK_THAT(all[0].why, Catch::Contains(c.why));
    }
  Json pod = {{"metadata", {{"labels", {{"kubevirt.io/created-by", "u-b"}}}}}, {"spec", {{"nodeName", "node1"}, {"priority", 100}}}};
  auto all = evacuees(list({vmi("a", "None", "True"), vmi("b", "None", "True"), vmi("c", "None", "True", "node2")}), list({pod}), list({}), "node1", "None", false);
  REQUIRE(all.size() == 2);
  CHECK(all[0].name == "b");
  CHECK(evacuees(Json(), Json("x"), Json::object(), "node1", "", false).empty());
}
