// The machine's status: one word for people, conditions, counters.
#include <catch2/catch.hpp>

#include "virt-controller/status_patch.hpp"
#include "virt-controller/vm/status.hpp"

using namespace nodevirt;
using namespace nodevirt::virt_controller;
using namespace nodevirt::virt_controller::vm;

namespace {

struct World {
  Json machine = {{"metadata", {{"name", "vm"}, {"namespace", "n"}, {"uid", "vm-uid"}, {"generation", 4}}}, {"spec", {{"runStrategy", "Always"}}}};
  Json instance;
  bool start_expected = false, stop_expected = false, claims_unbound = false, restart_required = false, request_start = false;
  std::optional<Error> failure;
  Clock::WallTime now = *parse_time("2026-01-01T00:00:00Z");

  void run(const char* phase) {
    instance = {{"metadata", {{"name", "vm"}, {"uid", "vmi-uid"}, {"annotations", {{"kubevirt.io/vm-generation", "3"}}}}},
                {"status", {{"phase", phase}, {"conditions", Json::array()}}}};
  }
  void condition(const char* type, const char* status, const char* reason = "") {
    instance["status"]["conditions"].push_back(Json{{"type", type}, {"status", status}, {"reason", reason}});
  }
  Json status() const {
    Machine m = Machine::of(machine);
    std::optional<Instance> i;
    if (!instance.is_null()) i = Instance::of(instance);
    StatusInput in{.object = machine, .machine = m};
    if (i) {
      in.instance_object = &instance;
      in.instance = &*i;
    }
    in.start_expected = start_expected;
    in.stop_expected = stop_expected;
    in.claims_unbound = claims_unbound;
    in.restart_required = restart_required;
    in.request_start = request_start;
    in.failure = failure;
    in.now = now;
    return compute_status(in);
  }
  std::string word() const { return string_at(status(), {"printableStatus"}); }
};

Json condition_of(const Json& status, const char* type) {
  Json object = {{"status", status}};
  const Json* c = find_condition(object, type);
  return c ? *c : Json();
}

}  // namespace

TEST_CASE("printableStatus: the first that fits") {
  struct Case { const char* name; std::function<void(World&)> set; const char* want; };
  std::vector<Case> cases = {
      {"nothing", [](World&) {}, "Stopped"},
      {"created a moment ago", [](World& w) { w.start_expected = true; }, "Starting"},
      {"no phase yet", [](World& w) { w.run(""); }, "Starting"},
      {"pending", [](World& w) { w.run("Pending"); }, "Starting"},
      {"scheduled", [](World& w) { w.run("Scheduled"); }, "Starting"},
      {"running", [](World& w) { w.run("Running"); }, "Running"},
      {"paused", [](World& w) { w.run("Running"); w.condition("Paused", "True"); }, "Paused"},
      {"stopping", [](World& w) { w.run("Running"); w.instance["metadata"]["deletionTimestamp"] = "x"; }, "Stopping"},
      {"stop sent", [](World& w) { w.run("Running"); w.stop_expected = true; }, "Stopping"},
      {"stopping goes before paused", [](World& w) { w.run("Running"); w.condition("Paused", "True"); w.stop_expected = true; }, "Stopping"},
      {"deleted machine", [](World& w) { w.run("Running"); w.machine["metadata"]["deletionTimestamp"] = "x"; }, "Terminating"},
      {"migrating", [](World& w) { w.run("Running"); w.instance["status"]["migrationState"] = {{"startTimestamp", "x"}}; }, "Migrating"},
      {"migrated", [](World& w) { w.run("Running"); w.instance["status"]["migrationState"] = {{"startTimestamp", "x"}, {"completed", true}}; }, "Running"},
      {"migration ended", [](World& w) { w.run("Running"); w.instance["status"]["migrationState"] = {{"startTimestamp", "x"}, {"endTimestamp", "y"}}; }, "Running"},
      {"claim missing", [](World& w) { w.run("Pending"); w.condition("Synchronized", "False", "FailedPvcNotFound"); }, "ErrorPvcNotFound"},
      {"no room", [](World& w) { w.run("Scheduling"); w.condition("PodScheduled", "False", "Unschedulable"); }, "ErrorUnschedulable"},
      {"claim unbound", [](World& w) { w.run("Scheduling"); w.claims_unbound = true; }, "WaitingForVolumeBinding"},
      {"claim unbound and switched off", [](World& w) { w.machine["spec"]["runStrategy"] = "Halted"; w.claims_unbound = true; }, "Stopped"},
      {"image", [](World& w) { w.run("Scheduling"); w.condition("Synchronized", "False", "ErrImagePull"); }, "ErrImagePull"},
      {"image again", [](World& w) { w.run("Scheduling"); w.condition("Synchronized", "False", "ImagePullBackOff"); }, "ImagePullBackOff"},
      {"ended", [](World& w) { w.run("Succeeded"); w.instance["status"]["phaseTransitionTimestamps"] = Json::array({Json{{"phase", "Running"}}}); }, "Stopped"},
      {"stopped before it ran", [](World& w) { w.run("Succeeded"); w.instance["metadata"]["deletionTimestamp"] = "x"; }, "Stopped"},
      {"failed before it ran", [](World& w) { w.run("Failed"); }, "CrashLoopBackOff"},
      {"failed before it ran, by hand", [](World& w) { w.run("Failed"); w.machine["spec"]["runStrategy"] = "Manual"; }, "Stopped"},
      {"unknown", [](World& w) { w.run("Unknown"); }, "Unknown"},
  };
  for (auto& c : cases) {
    DYNAMIC_SECTION(c.name) {
      World w;
      c.set(w);
      CHECK(w.word() == c.want);
    }
  }
}

TEST_CASE("created, ready and generations follow the instance") {
  World w;
  Json s = w.status();
  CHECK(s["created"] == false);
  CHECK(s["ready"] == false);
  CHECK(condition_of(s, "Ready")["reason"] == "VMINotExists");
  w.run("Running");
  s = w.status();
  CHECK(s["created"] == true);
  CHECK(condition_of(s, "Ready")["reason"] == "VMIConditionMissing");
  w.condition("Ready", "True");
  s = w.status();
  CHECK(s["ready"] == true);
  CHECK(s["observedGeneration"] == 3);
  CHECK(s["desiredGeneration"] == 4);
  CHECK(condition_of(s, "Ready")["status"] == "True");
}

TEST_CASE("conditions of the instance are mirrored, and go with it") {
  World w;
  w.run("Running");
  w.condition("AgentConnected", "True");
  w.condition("Ready", "False", "GuestNotRunning");
  Json s = w.status();
  CHECK(condition_of(s, "AgentConnected")["status"] == "True");
  w.machine["status"] = s;
  w.instance = nullptr;
  s = w.status();
  CHECK(condition_of(s, "AgentConnected").is_null());
  CHECK(condition_of(s, "Ready")["status"] == "False");
}

TEST_CASE("Failure and RestartRequired come and go") {
  World w;
  w.run("Running");
  w.failure = Error(Code::InvalidArgument, "FailedCreate", "no");
  w.restart_required = true;
  Json s = w.status();
  CHECK(condition_of(s, "Failure")["message"] == "no");
  CHECK(condition_of(s, "RestartRequired")["status"] == "True");
  w.machine["status"] = s;
  w.failure.reset();
  w.restart_required = false;
  s = w.status();
  CHECK(condition_of(s, "Failure").is_null());
  CHECK(condition_of(s, "RestartRequired").is_null());
}

TEST_CASE("status that is true already is not written again") {
  World w;
  w.run("Running");
  w.condition("Ready", "True");
  w.failure = Error(Code::Internal, "X", "y");
  w.machine["status"] = w.status();
  w.now += std::chrono::hours(5);
  CHECK(status_patch(w.machine, w.status()).empty());
}

TEST_CASE("failed starts are counted once each, and forgotten when the guest ran") {
  World w;
  w.run("Failed");
  Json s = w.status();
  CHECK(s["startFailure"]["consecutiveFailCount"] == 1);
  CHECK(s["startFailure"]["lastFailedVMIUID"] == "vmi-uid");
  CHECK(s["startFailure"]["retryAfterTimestamp"] == "2026-01-01T00:00:10Z");
  w.machine["status"] = s;
  CHECK(w.status()["startFailure"]["consecutiveFailCount"] == 1);
  w.instance["metadata"]["uid"] = "second";
  s = w.status();
  CHECK(s["startFailure"]["consecutiveFailCount"] == 2);
  CHECK(s["startFailure"]["retryAfterTimestamp"] == "2026-01-01T00:00:40Z");
  w.machine["status"] = s;
  w.run("Running");
  CHECK_FALSE(w.status().contains("startFailure"));
  w.instance = nullptr;
  CHECK(w.status().contains("startFailure"));
  w.machine["spec"]["runStrategy"] = "Halted";
  CHECK_FALSE(w.status().contains("startFailure"));
}

TEST_CASE("the back-off grows with the square of the failures, up to five minutes") {
  CHECK(backoff_seconds(1, 0) == 10);
  CHECK(backoff_seconds(1, 1) == 15);
  CHECK(backoff_seconds(2, 0) == 40);
  CHECK(backoff_seconds(3, 0) == 90);
  CHECK(backoff_seconds(5, 0) == 250);
  CHECK(backoff_seconds(5, 1) == 300);
  CHECK(backoff_seconds(1000000, 0.5) == 300);
  CHECK(backoff_seconds(-3, 0) == 10);
}

TEST_CASE("RerunOnFailure counts as taken up when something runs") {
  World w;
  w.machine["spec"]["runStrategy"] = "RerunOnFailure";
  CHECK_FALSE(w.status().contains("runStrategy"));
  w.start_expected = true;
  CHECK(w.status()["runStrategy"] == "RerunOnFailure");
  w.start_expected = false;
  w.run("Running");
  CHECK(w.status()["runStrategy"] == "RerunOnFailure");
}

TEST_CASE("a recorded start request survives until it is done") {
  World w;
  w.machine["spec"]["runStrategy"] = "RerunOnFailure";
  w.run("Failed");
  w.request_start = true;
  Json s = w.status();
  REQUIRE(s["stateChangeRequests"].size() == 1);
  CHECK(s["stateChangeRequests"][0]["action"] == "Start");
  w.machine["status"] = s;
  w.request_start = false;
  CHECK(w.status()["stateChangeRequests"].size() == 1);
  w.instance = nullptr;
  CHECK(w.status()["stateChangeRequests"].size() == 1);
  w.run("Pending");
  CHECK_FALSE(w.status().contains("stateChangeRequests"));
}

TEST_CASE("members that are not ours stay") {
  World w;
  w.machine["status"] = {{"snapshotInProgress", "s1"}, {"conditions", "not a list"}, {"stateChangeRequests", 7}};
  Json s = w.status();
  CHECK(s["snapshotInProgress"] == "s1");
  CHECK(s["conditions"].is_array());
}
