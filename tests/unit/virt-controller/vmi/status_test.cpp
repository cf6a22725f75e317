// What virt-controller writes into an instance: phases up to the hand-over, conditions, the end of orphans.
#include <catch2/catch.hpp>

#include "virt-controller/status_patch.hpp"
#include "virt-controller/vmi/status.hpp"

using namespace nodevirt;
using namespace nodevirt::virt_controller;
using namespace nodevirt::virt_controller::vmi;

namespace {

struct World {
  Json object = {{"metadata", {{"name", "vm"}, {"namespace", "n"}, {"uid", "u"}}}};
  Observation seen;
  std::shared_ptr<PodObject> pod;
  std::optional<Error> failure;
  bool gone = false, fenced = false;

  explicit World(const char* phase) {
    seen.phase = phase;
    seen.finalized = true;
    if (*phase) object["status"]["phase"] = phase;
  }
  PodObject& with_pod(const char* phase) {
    pod = std::make_shared<PodObject>();
    pod->meta.uid = "pod-uid";
    pod->phase = phase;
    pod->node = "node1";
    seen.pods = {pod};
    return *pod;
  }
  StatusOutcome status() const {
    StatusInput in{.object = object, .seen = seen, .failure = failure, .pod_confirmed_gone = gone, .fenced = fenced, .launcher_uid = 998,
                   .launcher_image = "img:1", .now = *parse_time("2026-01-01T00:00:00Z")};
    return compute_status(in);
  }
  std::string phase() const { return string_at(status().status, {"phase"}); }
  Json condition(const char* type) const {
    Json o = {{"status", status().status}};
    const Json* c = find_condition(o, type);
    return c ? *c : Json();
  }
};

}  // namespace

TEST_CASE("phases up to the hand-over") {
  CHECK(World("").phase() == "Pending");
  CHECK(World("Pending").phase() == "Pending");
  World made("Pending");
  made.seen.pod_pending = true;
  CHECK(made.phase() == "Scheduling");
  CHECK(made.status().status["runtimeUser"] == 998);
  CHECK(made.status().status["launcherContainerImageVersion"] == "img:1");
  World waits("Scheduling");
  waits.with_pod("Pending");
  CHECK(waits.phase() == "Scheduling");
  World almost("Scheduling");
  almost.with_pod("Running");
  CHECK(almost.phase() == "Scheduling");
}

TEST_CASE("the hand-over names node and pod") {
  World w("Scheduling");
  auto& p = w.with_pod("Running");
  p.compute_running = true;
  p.qos_class = "Burstable";
  auto out = w.status();
  CHECK(out.status["phase"] == "Scheduled");
  CHECK(out.status["nodeName"] == "node1");
  CHECK(out.status["activePods"]["pod-uid"] == "node1");
  CHECK(out.status["qosClass"] == "Burstable");
  CHECK(out.node_label == "node1");
  REQUIRE(out.status["phaseTransitionTimestamps"].size() == 1);
  CHECK(out.status["phaseTransitionTimestamps"][0]["phase"] == "Scheduled");
  SECTION("it does not happen to an instance that is going") {
    w.seen.deleting = true;
    CHECK(w.phase() == "Scheduling");
  }
  SECTION("nor to a pod that is going") {
    p.meta.deletion_timestamp = "x";
    CHECK(w.phase() == "Scheduling");
  }
}

TEST_CASE("a pod that ends or vanishes before the hand-over ends the instance") {
  World ended("Scheduling");
  auto& p = ended.with_pod("Failed");
  p.reason = "Evicted";
  p.message = "no memory";
  auto out = ended.status();
  CHECK(out.status["phase"] == "Failed");
  CHECK(out.status["reason"] == "PodFailed");
  REQUIRE(out.events.size() == 1);
  CHECK_THAT(out.events[0].message, Catch::Contains("Evicted: no memory"));
  World gone("Scheduling");
  CHECK(gone.phase() == "Scheduling");
  gone.gone = true;
  CHECK(gone.phase() == "Failed");
}

TEST_CASE("after the hand-over the instance is virt-handler's, until it is silent for too long") {
  for (const char* phase : {"Scheduled", "Running"}) {
    World w(phase);
    w.with_pod("Running");
    CHECK(w.phase() == phase);
    w.with_pod("Failed");
    CHECK(w.phase() == phase);
    w.seen.podless = kHandlerSilence;
    CHECK(w.phase() == "Failed");
    w.pod.reset();
    w.seen.pods.clear();
    CHECK(w.phase() == phase);  // the server has not confirmed it
    w.gone = true;
    CHECK(w.phase() == "Failed");
    w.seen.podless = {};
    CHECK(w.phase() == phase);
  }
}

TEST_CASE("a dead node's instance is only given up when its pod is known to be gone") {
  World w("Running");
  w.seen.node_dead = true;
  w.with_pod("Running");
  CHECK(w.phase() == "Running");
  CHECK(w.condition("Ready")["reason"] == "NodeUnresponsive");
  w.seen.pods.clear();
  w.pod.reset();
  CHECK(w.phase() == "Running");
  w.gone = true;
  CHECK(w.phase() == "Failed");
  CHECK(w.status().status["reason"] == "NodeUnresponsive");
}

TEST_CASE("a final phase is final") {
  World w("Succeeded");
  w.with_pod("Failed");
  w.gone = true;
  CHECK(w.phase() == "Succeeded");
}

TEST_CASE("Ready follows the pod once the guest runs") {
  World w("Running");
  auto& p = w.with_pod("Running");
  CHECK(w.condition("Ready")["reason"] == "PodConditionMissing");
  p.conditions = {{"Ready", "False", "ReadinessGatesNotReady", "gate", "", ""}};
  CHECK(w.condition("Ready")["reason"] == "ReadinessGatesNotReady");
  p.conditions = {{"Ready", "True", "", "", "", ""}};
  CHECK(w.condition("Ready")["status"] == "True");
  World early("Scheduled");
  early.with_pod("Running").conditions = {{"Ready", "True", "", "", "", ""}};
  CHECK(early.condition("Ready")["reason"] == "GuestNotRunning");
}

TEST_CASE("why an instance is not ready, in KubeVirt's words") {
  struct Case { const char *name, *phase, *pod; bool pod_deleting, pod_pending; const char* want; };
  auto c = GENERATE(values<Case>({
      {"nothing made yet", "Pending", "", false, false, "PodNotExists"},
      {"made, not seen yet", "Pending", "", false, true, "GuestNotRunning"},
      {"waits for a node", "Scheduling", "Pending", false, false, "GuestNotRunning"},
      {"being started", "Scheduled", "Running", false, false, "GuestNotRunning"},
      {"runs, its pod is being deleted", "Running", "Running", true, false, "PodTerminating"},
      {"runs, its pod has ended", "Running", "Failed", false, false, "PodTerminating"},
      {"runs, its pod was taken away", "Running", "", false, false, "PodNotExists"},
      {"ended", "Succeeded", "Running", true, false, "GuestNotRunning"},
      {"ended, and its pod is gone", "Succeeded", "", false, false, "GuestNotRunning"},
  }));
  DYNAMIC_SECTION(c.name) {
    World w(c.phase);
    if (*c.pod && c.pod_deleting) w.with_pod(c.pod).meta.deletion_timestamp = "x";
    else if (*c.pod) w.with_pod(c.pod);
    w.seen.pod_pending = c.pod_pending;
    CHECK(w.condition("Ready")["status"] == "False");
    CHECK(w.condition("Ready")["reason"] == c.want);
  }
}

TEST_CASE("a guest that its fence has ended") {
  World w("Running");
  w.object["status"]["nodeName"] = "node1";
  w.with_pod("Running");
  w.fenced = true;
  auto out = w.status();
  CHECK(out.status["phase"] == "Failed");
  CHECK(out.status["reason"] == "FenceDeadlinePassed");
  REQUIRE(out.events.size() == 1);
  CHECK(out.events[0].reason == "Stopped");
  CHECK_THAT(out.events[0].message, Catch::Contains("node1"));
}

TEST_CASE("what holds a pod up is told once, and taken back") {
  World w("Scheduling");
  auto& p = w.with_pod("Pending");
  p.waiting_reason = "ErrImagePull";
  p.waiting_message = "no such image";
  auto out = w.status();
  CHECK(w.condition("Synchronized")["reason"] == "ErrImagePull");
  REQUIRE(out.events.size() == 1);
  CHECK(out.events[0] == EventText{"Warning", "ErrImagePull", "no such image"});
  w.object["status"] = out.status;
  CHECK(w.status().events.empty());
  CHECK(status_patch(w.object, w.status().status).empty());
  p.waiting_reason.clear();
  CHECK(w.condition("Synchronized").is_null());

  World claim("Pending");
  claim.seen.missing_claim = "data";
  CHECK(claim.condition("Synchronized")["reason"] == "FailedPvcNotFound");
  CHECK_THAT(claim.condition("Synchronized")["message"].get<std::string>(), Catch::Contains("data"));
  CHECK(claim.condition("PodScheduled")["reason"] == "Unschedulable");
  World create("Pending");
  create.failure = Error(Code::InvalidArgument, "FailedCreate", "quota");
  CHECK(create.condition("Synchronized")["message"] == "quota");
  World other("Scheduling");
  other.with_pod("Pending").waiting_reason = "CreateContainerError";
  CHECK(other.condition("Synchronized")["reason"] == "PodWaiting");
}

TEST_CASE("a condition of virt-handler's is not taken back by us") {
  World w("Running");
  w.with_pod("Running");
  w.object["status"]["conditions"] = Json::array({Json{{"type", "Synchronized"}, {"status", "False"}, {"reason", "SyncFailed"}}});
  CHECK(w.condition("Synchronized")["reason"] == "SyncFailed");
}

TEST_CASE("a pod that finds no node") {
  World w("Scheduling");
  auto& p = w.with_pod("Pending");
  p.conditions = {{"PodScheduled", "False", "Unschedulable", "0/1 nodes", "", ""}};
  CHECK(w.condition("PodScheduled")["reason"] == "Unschedulable");
  p.conditions = {{"PodScheduled", "True", "", "", "", ""}};
  CHECK(w.condition("PodScheduled").is_null());
}

TEST_CASE("the readiness gate follows Paused") {
  World w("Running");
  auto& p = w.with_pod("Running");
  CHECK_FALSE(gate_patch(w.object, p, {}));
  p.gated = true;
  auto open = gate_patch(w.object, p, {});
  REQUIRE(open);
  CHECK((*open)["status"]["conditions"][0]["status"] == "True");
  CHECK((*open)["status"]["conditions"][0]["type"] == "kubevirt.io/virtual-machine-unpaused");
  p.conditions = {{"kubevirt.io/virtual-machine-unpaused", "True", "", "", "", ""}};
  CHECK_FALSE(gate_patch(w.object, p, {}));
  w.object["status"]["conditions"] = Json::array({Json{{"type", "Paused"}, {"status", "True"}}});
  auto shut = gate_patch(w.object, p, {});
  REQUIRE(shut);
  CHECK((*shut)["status"]["conditions"][0]["status"] == "False");
}
