// What is written into a migration, and by it into its instance.
#include <catch2/catch.hpp>

#include "api/names.hpp"
#include "pkg/k8s/json_patch.hpp"
#include "virt-controller/migration/status.hpp"

using namespace nodevirt;
using namespace nodevirt::virt_controller;
using namespace nodevirt::virt_controller::migration;

namespace {

const Clock::WallTime kNow = *parse_time("2026-01-01T01:00:00Z");
const std::string kNowText = "2026-01-01T01:00:00Z";

Json vmi() {
  return Json::parse(R"({"metadata":{"name":"vm","namespace":"n","uid":"i1","labels":{"a":"b"}},
    "status":{"phase":"Running","nodeName":"source","activePods":{"pod1":"source"}}})");
}
Json vmim(const char* phase = "Running") {
  return {{"metadata", {{"name", "m"}, {"namespace", "n"}, {"uid", "m1"}}}, {"spec", {{"vmiName", "vm"}}}, {"status", {{"phase", phase}}}};
}
Json with_state(Json state) {
  Json i = vmi();
  i["status"]["migrationState"] = std::move(state);
  return i;
}
PodInformer::Ptr target() {
  auto p = std::make_shared<PodObject>();
  p->meta.name = "virt-launcher-vm-2";
  p->meta.uid = "pod2";
  p->node = "target";
  return p;
}
Json patched(const Json& object, const Json& patch) {
  auto done = k8s::apply_json_patch(object, patch);
  REQUIRE(done.ok());
  return *done;
}

}  // namespace

TEST_CASE("handing over names everything that the virt-handlers need") {
  api::MigrationConfig config;
  config.policy_name = "gentle";
  config.max_downtime_ms = 77;
  config.max_throttle_percent = 40;
  Json object = vmi();
  Json patch = hand_over_patch({object, vmim(), target(), "virt-launcher-vm-1", config});
  Json after = patched(object, patch);
  const Json& state = after["status"]["migrationState"];
  CHECK(state["migrationUid"] == "m1");
  CHECK(state["sourceNode"] == "source");
  CHECK(state["sourcePod"] == "virt-launcher-vm-1");
  CHECK(state["targetNode"] == "target");
  CHECK(state["targetPod"] == "virt-launcher-vm-2");
  CHECK(state["mode"] == "PreCopy");
  CHECK(state["migrationPolicyName"] == "gentle");
  CHECK(state["migrationConfiguration"]["maxDowntimeMs"] == 77);
  CHECK(after["metadata"]["labels"]["kubevirt.io/migrationTargetNodeName"] == "target");
  CHECK(after["metadata"]["labels"]["a"] == "b");
  CHECK(after["status"]["activePods"] == Json({{"pod1", "source"}, {"pod2", "target"}}));
  auto back = api::read_migration_config(state["migrationConfiguration"], string_at(after, {"metadata", "annotations", api::kMigrationSettingsAnnotation}), "m1");
  CHECK(back.max_downtime_ms == 77);
  CHECK(back.max_throttle_percent == 40);

  // What was seen no longer holds: another state, another node.
  Json moved = object;
  moved["status"]["nodeName"] = "elsewhere";
  CHECK_FALSE(k8s::apply_json_patch(moved, patch).ok());
  CHECK_FALSE(k8s::apply_json_patch(with_state({{"migrationUid", "m0"}}), patch).ok());
  // An ended one is replaced whole.
  Json old = with_state({{"migrationUid", "m0"}, {"completed", true}, {"targetNodeAddress", "x"}});
  Json replaced = patched(old, hand_over_patch({old, vmim(), target(), "p", {}}));
  CHECK_FALSE(replaced["status"]["migrationState"].contains("completed"));
  CHECK_FALSE(replaced["status"]["migrationState"].contains("targetNodeAddress"));
  // Its label, for the same node, may be removed in between.
  old["metadata"]["labels"] = {{"app", "x"}, {std::string(api::kMigrationTargetNodeLabel), target()->node}};
  Json patch_over_label = hand_over_patch({old, vmim(), target(), "p", {}});
  old["metadata"]["labels"].erase(std::string(api::kMigrationTargetNodeLabel));
  CHECK(string_at(patched(old, patch_over_label), {"metadata", "labels", api::kMigrationTargetNodeLabel}) == target()->node);
}

TEST_CASE("what was handed over is read back") {
  CHECK_FALSE(handed_over(vmi(), "m1").ours);
  CHECK_FALSE(handed_over(with_state({{"migrationUid", "m0"}, {"failed", true}}), "m1").ours);
  CHECK_FALSE(handed_over(with_state("nonsense"), "m1").ours);
  auto h = handed_over(with_state({{"migrationUid", "m1"}, {"targetNodeAddress", "a:1"}, {"startTimestamp", kNowText}, {"abortRequested", true}}), "m1");
  CHECK(h.ours);
  CHECK(h.target_ready);
  CHECK(h.started);
  CHECK(h.abort_requested);
  CHECK_FALSE(h.completed);
  CHECK(other_under_way(with_state({{"migrationUid", "m0"}}), "m1"));
  CHECK_FALSE(other_under_way(with_state({{"migrationUid", "m0"}, {"failed", true}}), "m1"));
  CHECK_FALSE(other_under_way(with_state({{"migrationUid", "m1"}}), "m1"));
}

TEST_CASE("a migration is taken back only before it has begun") {
  Json before = with_state({{"migrationUid", "m1"}, {"targetNodeAddress", "a:1"}});
  before["metadata"]["labels"]["kubevirt.io/migrationTargetNodeName"] = "target";
  Json patch = take_back_patch(before, "m1", "no node", true, kNow);
  Json after = patched(before, patch);
  CHECK(after["status"]["migrationState"]["failed"] == true);
  CHECK(after["status"]["migrationState"]["failureReason"] == "no node");
  CHECK(after["status"]["migrationState"]["abortStatus"] == "Succeeded");
  CHECK(after["status"]["migrationState"]["endTimestamp"] == kNowText);
  CHECK_FALSE(after["metadata"]["labels"].contains("kubevirt.io/migrationTargetNodeName"));
  // The source began in between: the test fails.
  Json begun = before;
  begun["status"]["migrationState"]["startTimestamp"] = kNowText;
  CHECK_FALSE(k8s::apply_json_patch(begun, patch).ok());
  for (const char* ended : {"startTimestamp", "completed", "failed"}) {
    Json s = {{"migrationUid", "m1"}};
    s[ended] = std::string(ended) == "startTimestamp" ? Json(kNowText) : Json(true);
    CHECK(take_back_patch(with_state(s), "m1", "x", false, kNow).empty());
  }
  CHECK(take_back_patch(with_state({{"migrationUid", "m0"}}), "m1", "x", false, kNow).empty());
}

TEST_CASE("cancelling asks this migration alone") {
  Json patch = abort_patch(with_state({{"migrationUid", "m1"}}), "m1");
  CHECK(patched(with_state({{"migrationUid", "m1"}}), patch)["status"]["migrationState"]["abortRequested"] == true);
  Json other = with_state({{"migrationUid", "m0"}});
  CHECK_FALSE(k8s::apply_json_patch(other, patch).ok());
}

TEST_CASE("the status of a migration") {
  Json object = vmim("Pending"), instance = vmi();
  Observation seen;
  seen.phase = "Pending";
  seen.instance = true;
  seen.instance_node = "source";
  Plan plan{Step::CreateTarget, "Scheduling", "", {}};
  StatusInput in{.object = object, .instance = &instance, .seen = seen, .plan = plan};
  in.now = kNow;
  SECTION("a phase is entered with its time") {
    in.target_pod = "virt-launcher-vm-2";
    Json status = compute_status(in).status;
    CHECK(status["phase"] == "Scheduling");
    CHECK(status["phaseTransitionTimestamps"][0]["phaseTransitionTimestamp"] == kNowText);
    CHECK(status["migrationState"]["sourceNode"] == "source");
    CHECK(status["migrationState"]["targetPod"] == "virt-launcher-vm-2");
  }
  SECTION("a step that failed leaves it where it was") {
    in.done = false;
    in.quota = "exceeded quota: q";
    auto out = compute_status(in);
    CHECK(out.status["phase"] == "Pending");
    CHECK(out.status["conditions"][0]["type"] == "migrationRejectedByResourceQuota");
    REQUIRE(out.events.size() == 1);
    object["status"] = out.status;
    CHECK(compute_status(in).events.empty());  // told once
    in.quota.clear();
    CHECK_FALSE(compute_status(in).status.contains("conditions"));
  }
  SECTION("a failure has its reason and its end") {
    Plan failed{Step::None, "Failed", "no node", {}};
    StatusInput bad{.object = object, .instance = &instance, .seen = seen, .plan = failed};
    bad.now = kNow;
    auto out = compute_status(bad);
    CHECK(out.status["phase"] == "Failed");
    CHECK(out.status["migrationState"]["failed"] == true);
    CHECK(out.status["migrationState"]["failureReason"] == "no node");
    CHECK(out.status["migrationState"]["endTimestamp"] == kNowText);
    CHECK(out.events == std::vector<MigrationEvent>{{"Warning", "FailedMigration", "no node"}});
  }
  SECTION("what the instance says of it is shown") {
    Json told = with_state({{"migrationUid", "m1"}, {"completed", true}, {"sourceNode", "source"}, {"targetNode", "target"}});
    seen.phase = "Running";
    seen.state.ours = seen.state.completed = true;
    Plan done{Step::None, "Succeeded", "", {}};
    StatusInput good{.object = object, .instance = &told, .seen = seen, .plan = done};
    auto out = compute_status(good);
    CHECK(out.status["migrationState"] == told["status"]["migrationState"]);
    REQUIRE(out.events.size() == 1);
    CHECK(out.events[0].message == "the instance runs on node target now");
  }
  SECTION("a deleted one says that it is cancelled") {
    seen.deleting = true;
    Plan none;
    StatusInput cancelled{.object = object, .instance = &instance, .seen = seen, .plan = none};
    CHECK(compute_status(cancelled).status["conditions"][0]["type"] == "migrationAbortRequested");
  }
}
