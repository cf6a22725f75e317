// The line that `kubectl get vmim -w` shows.
#include <catch2/catch.hpp>

#include "api/migration_progress.hpp"
#include "api/names.hpp"
#include "virt-controller/migration/progress.hpp"

using namespace nodevirt;
using namespace nodevirt::virt_controller::migration;

namespace {

Json migration() { return {{"metadata", {{"name", "m"}, {"uid", "m1"}}}, {"status", {{"migrationState", {{"sourceNode", "a"}, {"targetNode", "b"}}}}}}; }

Json instance(const std::string& uid) {
  api::MigrationProgress p;
  p.uid = uid;
  p.mode = "PreCopy";
  p.iteration = 3;
  p.total_bytes = 1 << 30;
  p.remaining_bytes = 1 << 28;
  p.predicted_end_s = 4;
  Json out = Json::object();
  out["metadata"]["annotations"][std::string(api::kMigrationProgressAnnotation)] = api::format_migration_progress(p);
  return out;
}

}  // namespace

TEST_CASE("each phase has its line") {
  Json m = migration();
  Observation seen;
  seen.instance = true;
  seen.instance_phase = "Running";
  auto line = [&](std::string phase, std::string waits = "", const Json* i = nullptr) { return summary({m, i, seen, std::move(phase), std::move(waits)}); };
  CHECK(line("Pending", "queued: 5 of 5") == "queued: 5 of 5");
  CHECK(line("Scheduling") == "starts the target pod");
  CHECK(line("TargetReady") == "prepares the target");
  Json i = instance("m1"), other = instance("m0");
  CHECK_THAT(line("Running", "", &i), Catch::StartsWith("iteration 3, 75 % in step"));
  CHECK(line("Running", "", &other) == "prepares the target");
  CHECK(line("Failed") == "failed");
  m["status"]["migrationState"]["failureReason"] = "no memory";
  CHECK(line("Failed") == "no memory");
  m["status"]["migrationState"]["startTimestamp"] = "2026-01-01T00:00:00Z";
  m["status"]["migrationState"]["endTimestamp"] = "2026-01-01T00:00:42Z";
  CHECK(line("Succeeded") == "done in 42 s");
  seen.deleting = true;
  CHECK(line("Running", "", &i) == "is cancelled");
  seen.deleting = false;
  seen.instance_phase = "Scheduled";
  CHECK(line("Pending") == "waits until the instance runs");
}

TEST_CASE("the last word stays with its migration, also when the next one has begun") {
  Json m = migration(), i = instance("m1"), next = instance("m2");
  auto& text = i["metadata"]["annotations"][std::string(api::kMigrationProgressAnnotation)];
  auto told = *api::parse_migration_progress(text.get<std::string>());
  told.done = true;
  told.seconds = 4.2;
  told.downtime_ms = 61;
  text = api::format_migration_progress(told);
  Observation seen;
  m["status"]["migrationState"]["startTimestamp"] = "2026-01-01T00:00:00Z";
  m["status"]["migrationState"]["endTimestamp"] = "2026-01-01T00:00:05Z";
  const std::string words = "done in 4.2 s with a pause of 0.06 s, in 3 iterations";
  CHECK(summary({m, &i, seen, "Succeeded", ""}) == words);
  CHECK(summary({m, &next, seen, "Succeeded", ""}) == "done in 5.0 s");
  m["metadata"]["annotations"] = progress_patch({m, &i, seen, "Succeeded", ""})["metadata"]["annotations"];
  CHECK(summary({m, &next, seen, "Succeeded", ""}) == words);
  CHECK(progress_patch({m, &next, seen, "Succeeded", ""}).is_null());
  CHECK(progress_patch({m, nullptr, seen, "Succeeded", ""}).is_null());
}

TEST_CASE("progress is copied once, with where it goes") {
  Json m = migration(), i = instance("m1");
  Observation seen;
  Json patch = progress_patch({m, &i, seen, "Running", ""});
  REQUIRE(patch.is_object());
  CHECK(patch["metadata"]["uid"] == "m1");
  auto copied = api::parse_migration_progress(string_at(patch, {"metadata", "annotations", api::kMigrationProgressAnnotation}));
  REQUIRE(copied.ok());
  CHECK(copied->source == "a");
  CHECK(copied->target == "b");
  m["metadata"]["annotations"] = patch["metadata"]["annotations"];
  CHECK(progress_patch({m, &i, seen, "Running", ""}).is_null());
}
