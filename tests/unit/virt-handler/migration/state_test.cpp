// What is read from an instance's migrationState, and what is written there.
#include <catch2/catch.hpp>

#include "api/names.hpp"
#include "pkg/k8s/json_patch.hpp"
#include "virt-handler/migration/patches.hpp"
#include "virt-handler/migration/prepared.hpp"
#include "virt-handler/migration/state.hpp"

using namespace nodevirt;
using namespace nodevirt::virt_handler::migration;

namespace {

Json instance(Json state, Json annotations = Json::object()) {
  Json out{{"metadata", {{"name", "vm1"}, {"uid", "u1"}, {"resourceVersion", "7"}, {"annotations", annotations}}}, {"status", {{"nodeName", "node1"}, {"phase", "Running"}}}};
  if (!state.is_null()) out["status"]["migrationState"] = std::move(state);
  return out;
}
Json ours(Json more = Json::object()) {
  Json out{{"migrationUid", "m1"}, {"sourceNode", "node1"}, {"sourcePod", "a"}, {"targetNode", "node2"}, {"targetPod", "b"}};
  out.update(more);
  return out;
}
Json patched(const Json& vmi, const Json& patch) {
  REQUIRE_FALSE(patch.empty());
  auto out = k8s::apply_json_patch(vmi, patch);
  REQUIRE(out.ok());
  return *out;
}
const Clock::WallTime kNow = *parse_time("2026-01-01T00:00:00Z");

}  // namespace

TEST_CASE("migrationState") {
  CHECK_FALSE(migration_of(instance(nullptr)));
  CHECK_FALSE(migration_of(instance(Json::object())));
  CHECK_FALSE(migration_of(instance(ours({{"migrationUid", "../x"}}))));
  CHECK_FALSE(migration_of(instance(ours({{"targetPod", "a/b"}}))));
  CHECK_FALSE(migration_of(instance(ours({{"sourceNode", "a\nb"}}))));
  auto state = migration_of(instance(ours({{"startTimestamp", "x"}})));
  REQUIRE(state);
  CHECK(active_pod(state, "node1") == "a");
  CHECK(active_pod(state, "node2").empty());
  CHECK(source_is_held(state, "node1"));
  CHECK_FALSE(source_is_held(state, "node2"));
  auto moved = migration_of(instance(ours({{"startTimestamp", "x"}, {"completed", true}})));
  CHECK(active_pod(moved, "node2") == "b");
  CHECK(active_pod(moved, "node1").empty());
  CHECK_FALSE(source_is_held(moved, "node1"));
  CHECK_FALSE(migration_of(instance(ours({{"completed", true}, {"failed", true}})))->moved());
  CHECK_FALSE(source_is_held(migration_of(instance(ours())), "node1"));
}

TEST_CASE("the decision counts only for its own migration") {
  auto owner = [](std::string text) { return migration_of(instance(ours(), {{std::string(api::kMigrationHandoverAnnotation), text}}))->owner; };
  CHECK(owner(R"({"uid":"m1","owner":"target"})") == Owner::Target);
  CHECK(owner(R"({"uid":"m1","owner":"source"})") == Owner::Source);
  CHECK(owner(R"({"uid":"m0","owner":"target"})") == Owner::None);
  CHECK(owner("nonsense") == Owner::None);
  CHECK(owner("") == Owner::None);
}

TEST_CASE("patches are for one migration alone") {
  const Json vmi = instance(ours());
  const Json other = instance(ours({{"migrationUid", "m2"}}));
  NewHome home{.node = "node2", .pod_uid = "p2", .addresses = {"10.0.0.2"}};
  const Json all[] = {started_patch(vmi, "m1", kNow), mode_patch(vmi, "m1", "Paused"), progress_patch(vmi, "m1", "{}"), aborting_patch(vmi, "m1"),
                      owner_target_patch(vmi, "m1"), failed_patch(vmi, "m1", "why", kNow), address_patch(vmi, "m1", "a:1"), detected_patch(vmi, "m1", kNow),
                      completed_patch(vmi, "m1", home, kNow)};
  for (const Json& patch : all) {
    CHECK_FALSE(patch.empty());
    CHECK_FALSE(k8s::apply_json_patch(other, patch).ok());
  }
  CHECK(started_patch(vmi, "m2", kNow).empty());
  CHECK(completed_patch(vmi, "m2", home, kNow).empty());
}

TEST_CASE("a decision is written onto the instance as it was read") {
  const Json vmi = instance(ours({{"abortRequested", true}}));
  Json newer = vmi;
  newer["metadata"]["resourceVersion"] = "8";
  CHECK_FALSE(k8s::apply_json_patch(newer, owner_target_patch(vmi, "m1")).ok());
  CHECK_FALSE(k8s::apply_json_patch(newer, failed_patch(vmi, "m1", "why", kNow)).ok());
  CHECK_FALSE(k8s::apply_json_patch(newer, started_patch(vmi, "m1", kNow)).ok());  // it may have been taken back meanwhile
  Json failed = patched(vmi, failed_patch(vmi, "m1", "why", kNow));
  auto state = migration_of(failed);
  CHECK(state->failed);
  CHECK(state->owner == Owner::Source);
  CHECK(string_at(failed, {"status", "migrationState", "abortStatus"}) == "Succeeded");
  CHECK(failed_patch(failed, "m1", "another reason", kNow).empty());
  Json target = patched(vmi, owner_target_patch(vmi, "m1"));
  CHECK(migration_of(target)->owner == Owner::Target);
  CHECK(owner_target_patch(target, "m1").empty());
}

TEST_CASE("a migration that was taken back is not begun") { CHECK(started_patch(instance(ours({{"failed", true}})), "m1", kNow).empty()); }

TEST_CASE("the guest's new home is told at once") {
  Json vmi = instance(ours());
  vmi["status"]["interfaces"] = {{{"name", "default"}, {"ipAddress", "10.0.0.1"}, {"ipAddresses", {"10.0.0.1"}}}, {{"name", "second"}}};
  NewHome home{.node = "node2", .pod_uid = "p2", .addresses = {"10.0.1.2", "fd00::2"}};
  Json moved = patched(vmi, completed_patch(vmi, "m1", home, kNow));
  CHECK(string_at(moved, {"status", "nodeName"}) == "node2");
  CHECK(string_at(moved, {"metadata", "labels", "kubevirt.io/nodeName"}) == "node2");
  CHECK(string_at(moved["status"]["interfaces"][0], {"ipAddress"}) == "10.0.1.2");
  CHECK(moved["status"]["interfaces"][0]["ipAddresses"].size() == 2);
  CHECK_FALSE(moved["status"]["interfaces"][1].contains("ipAddress"));
  CHECK(migration_of(moved)->moved());
  CHECK(completed_patch(moved, "m1", home, kNow).empty());
}

TEST_CASE("a guest that was lost at the target has failed, and so has its migration") {
  const Json vmi = instance(ours());
  NewHome home{.node = "node2", .pod_uid = "p2", .addresses = {}, .failure = "the guest is lost"};
  Json lost = patched(vmi, completed_patch(vmi, "m1", home, kNow));
  CHECK(string_at(lost, {"status", "phase"}) == "Failed");
  CHECK(string_at(lost, {"status", "migrationState", "failureReason"}) == "the guest is lost");
  auto state = migration_of(lost);
  CHECK(state->failed);
  CHECK(state->completed);
  CHECK_FALSE(state->moved());
}

TEST_CASE("a guest that was lost with its target: the source says so, once") {
  const Json vmi = instance(ours());
  Json lost = patched(vmi, lost_patch(vmi, "m1", "the guest is lost", kNow));
  CHECK(string_at(lost, {"status", "phase"}) == "Failed");
  CHECK(string_at(lost, {"status", "nodeName"}) == string_at(vmi, {"status", "nodeName"}));
  auto state = migration_of(lost);
  CHECK((state->failed && state->completed && !state->moved()));
  CHECK(lost_patch(lost, "m1", "the guest is lost", kNow).empty());
  NewHome home{.node = "node2", .pod_uid = "p2", .addresses = {"10.0.1.2"}};
  Json moved = patched(vmi, completed_patch(vmi, "m1", home, kNow));
  CHECK(lost_patch(moved, "m1", "the guest is lost", kNow).empty());
}

TEST_CASE("what the target says when it is ready") {
  Hello hello{.token = "t"};
  hello.prepared.set_memory_socket("/a/b/memory.sock");
  hello.prepared.add_copied_disks("vda");
  hello.prepared.set_post_copy_possible(true);
  auto read = parse_hello(hello_message(hello));
  REQUIRE(read.ok());
  CHECK(read->token == "t");
  CHECK(read->prepared.SerializeAsString() == hello.prepared.SerializeAsString());
  CHECK_FALSE(parse_hello(Json::object()).ok());
  CHECK_FALSE(parse_hello({{"prepared", {{"memorySocket", 5.5}, {"copiedDisks", "x"}}}}).ok());
  hello.prepared.set_memory_socket("/a/..");
  CHECK_FALSE(parse_hello(hello_message(hello)).ok());
}
