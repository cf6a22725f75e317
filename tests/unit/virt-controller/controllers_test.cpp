// The controllers against a server in memory: from a machine to a pod and back, with every single request
// failing once, before or after it was done.
#include <catch2/catch.hpp>

#include "tests/support/running_controllers.hpp"
#include "virt-controller/status_patch.hpp"

using namespace nodevirt;
using namespace nodevirt::virt_controller;
namespace res = k8s::resources;

namespace {

struct World : testing::RunningControllers {
  World() : RunningControllers(40) {
    api->put(res::kNodes, {{"metadata", {{"name", "node1"}, {"labels", {{"kubevirt.io/schedulable", "true"}}},
                                         {"annotations", {{"kubevirt.io/heartbeat", "2026-01-01T00:00:00Z"}}}}}});
    start();
  }

  void machine(const char* strategy, Json volumes = Json::array(), Json annotations = Json::object()) {
    api->put(res::kVirtualMachines, {{"metadata", {{"name", "vm"}, {"namespace", "n"}, {"generation", 1}}},
        {"spec", {{"runStrategy", strategy}, {"template", {{"metadata", {{"annotations", annotations}}}, {"spec", {{"domain", {{"resources", {{"requests", {{"memory", "64M"}}}}}}}, {"volumes", volumes}}}}}}}});
    settle();
  }
  Json vm() const { auto* o = api->get(res::kVirtualMachines, "n", "vm"); return o ? *o : Json(); }
  Json vmi() const { auto* o = api->get(res::kVirtualMachineInstances, "n", "vm"); return o ? *o : Json(); }
  Json pod() const {
    auto i = vmi();
    if (i.is_null()) return Json();
    for (const auto& p : controllers->context().pods.list()) {
      auto* o = api->get(res::kPods, "n", p->meta.name);
      if (o && string_at(*o, {"metadata", "labels", "kubevirt.io/created-by"}) == string_at(i, {"metadata", "uid"})) return *o;
    }
    return Json();
  }
  std::size_t pods() const { return controllers->context().pods.list().size(); }
  std::string phase() const { return string_at(vmi(), {"status", "phase"}); }
  std::string word() const { return string_at(vm(), {"status", "printableStatus"}); }
  void edit(const k8s::Resource& r, Json object, const std::function<void(Json&)>& change) {
    change(object);
    api->put(r, object);
    settle();
  }
  void run_pod() {
    edit(res::kPods, pod(), [](Json& p) {
      p["spec"]["nodeName"] = "node1";
      p["status"] = {{"phase", "Running"}, {"conditions", Json::array({Json{{"type", "Ready"}, {"status", "True"}}})},
                     {"containerStatuses", Json::array({Json{{"name", "compute"}, {"state", {{"running", Json::object()}}}}})}};
    });
  }
  void set_phase(const char* phase) {
    edit(res::kVirtualMachineInstances, vmi(), [&](Json& i) { enter_phase(i["status"], phase, clock.wall()); });
  }
  void end_pod() {
    Json p = pod();
    api->erase(res::kPods, "n", string_at(p, {"metadata", "name"}));
    settle();
  }
  void switch_to(const char* strategy) {
    edit(res::kVirtualMachines, vm(), [&](Json& m) { m["spec"]["runStrategy"] = strategy; });
  }
};

}  // namespace

TEST_CASE("from a machine to a running guest and back") {
  World w;
  w.machine("Always");
  CHECK(w.phase() == "Scheduling");
  CHECK(w.word() == "Starting");
  CHECK(w.pods() == 1);
  CHECK(has_finalizer(w.vm(), "kubevirt.io/virtualMachineControllerFinalize"));
  w.run_pod();
  CHECK(w.phase() == "Scheduled");
  CHECK(string_at(w.vmi(), {"metadata", "labels", "kubevirt.io/nodeName"}) == "node1");
  w.set_phase("Running");
  CHECK(w.word() == "Running");
  CHECK(bool_at(w.vm(), {"status", "ready"}));
  CHECK(condition_is({{"status", w.pod()["status"]}}, "kubevirt.io/virtual-machine-unpaused", "True"));

  w.switch_to("Halted");
  CHECK(w.word() == "Stopping");
  CHECK_FALSE(string_at(w.vmi(), {"metadata", "deletionTimestamp"}).empty());
  CHECK(string_at(w.pod(), {"metadata", "deletionTimestamp"}).empty());  // the guest's end is virt-handler's business
  w.set_phase("Succeeded");
  CHECK_FALSE(string_at(w.pod(), {"metadata", "deletionTimestamp"}).empty());
  CHECK(w.phase() == "Succeeded");  // held until its pod is gone
  w.end_pod();
  CHECK(w.vmi().is_null());
  CHECK(w.word() == "Stopped");
  CHECK_FALSE(bool_at(w.vm(), {"status", "created"}));
}

TEST_CASE("a new instance is never made while the old one is there") {
  World w;
  w.machine("Always");
  w.run_pod();
  w.set_phase("Running");
  std::string first = string_at(w.vmi(), {"metadata", "uid"});
  w.set_phase("Failed");
  w.pass(600s);
  CHECK(string_at(w.vmi(), {"metadata", "uid"}) == first);
  CHECK(w.pods() == 1);
  w.end_pod();
  CHECK(string_at(w.vmi(), {"metadata", "uid"}) != first);
  CHECK(w.phase() == "Scheduling");
}

TEST_CASE("an instance that fails before it ran is tried again later and later") {
  World w;
  w.machine("Always");
  w.edit(res::kPods, w.pod(), [](Json& p) { p["status"]["phase"] = "Failed"; });
  w.end_pod();
  CHECK(w.vmi().is_null());
  CHECK(w.word() == "CrashLoopBackOff");
  CHECK(int_at(w.vm(), {"status", "startFailure", "consecutiveFailCount"}) == 1);
  w.pass(5s);
  CHECK(w.vmi().is_null());
  w.pass(12s);
  CHECK(w.phase() == "Scheduling");
}

TEST_CASE("RerunOnFailure runs again after a failure, not after a shutdown") {
  World w;
  w.machine("RerunOnFailure");
  w.run_pod();
  w.set_phase("Running");
  SECTION("failure") {
    w.set_phase("Failed");
    w.end_pod();
    CHECK(w.phase() == "Scheduling");
    CHECK_FALSE(w.vm()["status"].contains("stateChangeRequests"));
  }
  SECTION("failure, and the controller dies in between") {
    w.set_phase("Failed");
    w.end();
    w.start();
    w.end_pod();
    CHECK(w.phase() == "Scheduling");
  }
  SECTION("shutdown") {
    w.set_phase("Succeeded");
    w.end_pod();
    w.pass(600s);
    CHECK(w.vmi().is_null());
    CHECK(w.word() == "Stopped");
  }
}

TEST_CASE("a claim that is missing is waited for") {
  World w;
  w.machine("Always", Json::array({Json{{"name", "d"}, {"persistentVolumeClaim", {{"claimName", "data"}}}}}));
  CHECK(w.phase() == "Pending");
  CHECK(w.word() == "ErrorPvcNotFound");
  CHECK(w.pods() == 0);
  w.api->put(res::kPersistentVolumeClaims, {{"metadata", {{"name", "data"}, {"namespace", "n"}}}, {"status", {{"phase", "Bound"}}}});
  w.settle();
  CHECK(w.phase() == "Scheduling");
  CHECK(w.word() == "Starting");
}

TEST_CASE("an orphan is adopted by the machine of its name") {
  World w;
  w.machine("Always");
  w.run_pod();
  w.set_phase("Running");
  std::string uid = string_at(w.vmi(), {"metadata", "uid"});
  w.edit(res::kVirtualMachines, w.vm(), [](Json& m) {
    m["metadata"]["finalizers"].push_back("orphan");
    m["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z";
  });
  CHECK_FALSE(has_finalizer(w.vm(), "kubevirt.io/virtualMachineControllerFinalize"));
  CHECK(string_at(w.vmi(), {"metadata", "deletionTimestamp"}).empty());
  // The garbage collector's part:
  w.api->erase(res::kVirtualMachines, "n", "vm");
  w.edit(res::kVirtualMachineInstances, w.vmi(), [](Json& i) { i["metadata"].erase("ownerReferences"); });
  w.machine("Always");
  CHECK(string_at(w.vmi(), {"metadata", "uid"}) == uid);
  CHECK(controller_of(w.vmi()) == string_at(w.vm(), {"metadata", "uid"}));
  CHECK(w.word() == "Running");
}

TEST_CASE("a changed template is shown until the restart") {
  World w;
  w.machine("Always");
  w.run_pod();
  w.set_phase("Running");
  CHECK_FALSE(condition_is(w.vm(), "RestartRequired", "True"));
  w.edit(res::kVirtualMachines, w.vm(), [](Json& m) {
    m["spec"]["template"]["spec"]["terminationGracePeriodSeconds"] = 7;
    m["metadata"]["generation"] = 2;
  });
  CHECK(condition_is(w.vm(), "RestartRequired", "True"));
  CHECK(int_at(w.vm(), {"status", "observedGeneration"}) == 1);
  CHECK(int_at(w.vm(), {"status", "desiredGeneration"}) == 2);
  w.set_phase("Succeeded");
  w.end_pod();
  CHECK(int_at(w.vmi(), {"spec", "terminationGracePeriodSeconds"}) == 7);
  CHECK_FALSE(condition_is(w.vm(), "RestartRequired", "True"));
}

TEST_CASE("no request that fails or whose answer is lost loses or doubles anything") {
  bool after = GENERATE(false, true);
  int n = GENERATE(range(0, 14));
  DYNAMIC_SECTION((after ? "answer lost " : "never arrived ") << n) {
    World w;
    (after ? w.api->lose_after : w.api->lose_before) = n;
    w.machine("Always");
    w.pass(30s);
    CHECK(w.phase() == "Scheduling");
    CHECK(w.pods() == 1);
    w.run_pod();
    w.set_phase("Running");
    w.pass(30s);
    CHECK(w.word() == "Running");
    w.switch_to("Halted");
    w.pass(30s);
    w.set_phase("Succeeded");
    w.pass(30s);
    w.end_pod();
    w.pass(30s);
    CHECK(w.vmi().is_null());
    CHECK(w.word() == "Stopped");
    CHECK(w.pods() == 0);
  }
}

TEST_CASE("a controller that starts in the middle goes on from there") {
  World w;
  w.machine("Always");
  std::string pod = string_at(w.pod(), {"metadata", "name"});
  w.end();
  w.start();
  CHECK(w.pods() == 1);
  CHECK(string_at(w.pod(), {"metadata", "name"}) == pod);
  w.end();
  w.start();
  w.run_pod();
  CHECK(w.phase() == "Scheduled");
}

TEST_CASE("a node that does not answer gets no new guests, and what runs there is not made again elsewhere") {
  World w;
  w.machine("Always");
  w.run_pod();
  w.set_phase("Running");
  std::string uid = string_at(w.vmi(), {"metadata", "uid"});
  w.pass(240s);
  CHECK(condition_is(w.vmi(), "Ready", "True"));
  for (int i = 0; i < 5; ++i) w.pass(60s);
  CHECK(string_at(*w.api->get(res::kNodes, "", "node1"), {"metadata", "labels", "kubevirt.io/schedulable"}) == "false");
  CHECK(condition_is(w.vmi(), "Ready", "False", "NodeUnresponsive"));
  CHECK(w.phase() == "Running");
  for (int i = 0; i < 60; ++i) w.pass(60s);
  CHECK(string_at(w.vmi(), {"metadata", "uid"}) == uid);
  CHECK(w.pods() == 1);
  SECTION("the node comes back") {
    w.edit(res::kNodes, *w.api->get(res::kNodes, "", "node1"), [&](Json& n) { n["metadata"]["annotations"]["kubevirt.io/heartbeat"] = format_time(w.clock.wall()); });
    CHECK(condition_is(w.vmi(), "Ready", "True"));
  }
  SECTION("a person says that it is gone") {
    w.end_pod();
    w.pass(60s);
    CHECK(string_at(w.vmi(), {"metadata", "uid"}) != uid);
    CHECK(w.phase() == "Scheduling");
  }
}

TEST_CASE("an instance whose pod never ran does not wait for a node that is gone") {
  World w;
  w.machine("Always");
  std::string uid = string_at(w.vmi(), {"metadata", "uid"}), pod = string_at(w.pod(), {"metadata", "name"});
  w.edit(res::kPods, w.pod(), [](Json& p) { p["spec"]["nodeName"] = "node1"; });
  for (int i = 0; i < 8; ++i) w.pass(60s);
  // What the API server does with a pod that is deleted without grace.
  auto* left = w.api->get(res::kPods, "n", pod);
  if (left) w.api->erase(res::kPods, "n", pod);
  for (int i = 0; i < 4; ++i) w.pass(60s);
  CHECK(string_at(w.vmi(), {"metadata", "uid"}) != uid);
  CHECK(w.phase() == "Scheduling");
  CHECK(string_at(w.pod(), {"metadata", "name"}) != pod);
}

TEST_CASE("a machine that is halted right after its restart stays off") {
  World w;
  w.machine("Always");
  w.run_pod();
  w.set_phase("Running");
  w.edit(res::kVirtualMachines, w.vm(), [&](Json& m) {
    m["status"]["stateChangeRequests"] = Json::array({Json{{"action", "Stop"}, {"uid", string_at(w.vmi(), {"metadata", "uid"})}}, Json{{"action", "Start"}}});
  });
  w.switch_to("Halted");
  w.set_phase("Succeeded");
  w.end_pod();
  w.pass(600s);
  CHECK(w.vmi().is_null());
  CHECK(string_at(w.vm(), {"spec", "runStrategy"}) == "Halted");
  CHECK(w.word() == "Stopped");
  CHECK_FALSE(w.vm()["status"].contains("stateChangeRequests"));
}

namespace {

/// A machine whose guest runs, and is to move from claim "one" to claim "two".
void move_volumes(World& w, const std::function<void()>& before) {
  for (const char* name : {"one", "two"})
    w.api->put(res::kPersistentVolumeClaims, {{"metadata", {{"name", name}, {"namespace", "n"}}}, {"spec", {{"accessModes", {"ReadWriteOnce"}}, {"resources", {{"requests", {{"storage", "64Mi"}}}}}}},
                                              {"status", {{"phase", "Bound"}, {"capacity", {{"storage", "64Mi"}}}}}});
  w.settle();
  w.machine("Always", Json::array({Json{{"name", "d"}, {"persistentVolumeClaim", {{"claimName", "one"}}}}}));
  w.run_pod();
  w.edit(res::kVirtualMachineInstances, w.vmi(), [](Json& i) {
    i["spec"]["domain"]["devices"]["disks"] = Json::array({Json{{"name", "d"}, {"disk", Json::object()}}});
    i["status"]["conditions"].push_back(Json{{"type", "LiveMigratable"}, {"status", "True"}});
  });
  w.set_phase("Running");
  before();
  w.edit(res::kVirtualMachines, w.vm(), [](Json& m) {
    m["spec"]["updateVolumesStrategy"] = "Migration";
    m["spec"]["template"]["spec"]["volumes"][0]["persistentVolumeClaim"]["claimName"] = "two";
    m["metadata"]["generation"] = 2;
  });
  w.pass(30s);
}

}  // namespace

TEST_CASE("a machine's volumes move: claims, instance, migration") {
  bool after = GENERATE(false, true);
  int n = GENERATE(-1, range(0, 12));
  DYNAMIC_SECTION((after ? "answer lost " : "never arrived ") << n) {
    World w;
    move_volumes(w, [&] {
      CHECK(string_at(w.vmi()["status"]["volumeStatus"][0], {"persistentVolumeClaimInfo", "claimName"}) == "one");
      w.api->writes = 0;
      (after ? w.api->lose_after : w.api->lose_before) = n;
    });
    CHECK(string_at(w.vmi()["spec"]["volumes"][0], {"persistentVolumeClaim", "claimName"}) == "two");
    CHECK(string_at(w.vmi()["status"]["migratedVolumes"][0], {"sourcePVCInfo", "claimName"}) == "one");
    CHECK(string_at(w.vmi()["status"]["volumeStatus"][0], {"persistentVolumeClaimInfo", "claimName"}) == "one");
    CHECK(condition_is(w.vm(), "VolumesChange", "True"));
    CHECK_FALSE(condition_is(w.vm(), "RestartRequired", "True"));
    auto migrations = w.controllers->migrations().list();
    REQUIRE(migrations.size() == 1);
    CHECK(migrations[0]->meta.annotations.contains("kubevirt.io/workloadUpdateMigration"));
    CHECK(migrations[0]->vmi_name == "vm");
  }
}

TEST_CASE("an instance does not go before its machine has read where its disks are") {
  bool arrived = GENERATE(true, false);
  DYNAMIC_SECTION((arrived ? "arrived" : "ended on its way")) {
    World w;
    move_volumes(w, [] {});
    REQUIRE(condition_is(w.vm(), "VolumesChange", "True"));
    // The machine's status cannot be written for a while; meanwhile the instance is deleted, and all of it ends.
    bool refused = true;
    w.api->fault = [&](const net::Request& q) -> std::optional<Error> {
      if (refused && q.method != "GET" && q.path().find("/virtualmachines/") != std::string::npos) return Error(Code::Unavailable, "busy");
      return std::nullopt;
    };
    std::string uid = string_at(w.vmi(), {"metadata", "uid"});
    w.edit(res::kVirtualMachineInstances, w.vmi(), [&](Json& i) {
      if (arrived) {
        i["status"]["migratedVolumes"] = Json::array();
        remove_condition(i["status"]["conditions"], "VolumesChange");
      }
      i["metadata"]["deletionTimestamp"] = format_time(w.clock.wall());
      enter_phase(i["status"], "Succeeded", w.clock.wall());
    });
    for (const auto& p : w.controllers->context().pods.list()) w.api->erase(res::kPods, "n", p->meta.name);
    w.pass(5s);
    CHECK(string_at(w.vmi(), {"metadata", "uid"}) == uid);
    refused = false;
    w.pass(30s);
    w.pass(30s);
    CHECK(condition_is(w.vm(), "ManualRecoveryRequired", "True") == !arrived);
    if (arrived) CHECK(string_at(w.vmi(), {"metadata", "uid"}) != uid);  // and it runs again
    else CHECK(w.vmi().is_null());
  }
}

namespace {

// What virt-handler says of the pods whose monitors it has armed.
void renew_fence(World& w, const std::string& pod_uid, const char* seconds) {
  static int n = 0;
  Json annotations = Json::object();
  if (!pod_uid.empty()) annotations["fence.nodevirt.io/" + pod_uid] = seconds;
  w.api->put(res::kLeases, {{"metadata", {{"name", "virt-handler-node1"}, {"namespace", "kubevirt"}, {"labels", {{"nodevirt.io/fence", "true"}}},
                                          {"annotations", annotations}}},
                            {"spec", {{"renewTime", std::to_string(++n)}}}});
  w.settle();
}

}  // namespace

TEST_CASE("a fence deadline that passed: the guest is dead, and is made again") {
  World w;
  w.machine("Always");
  w.run_pod();
  w.set_phase("Running");
  std::string uid = string_at(w.vmi(), {"metadata", "uid"}), pod = string_at(w.pod(), {"metadata", "name"}), pod_uid = string_at(w.pod(), {"metadata", "uid"});
  renew_fence(w, pod_uid, "30");
  auto schedulable = [&] { return string_at(*w.api->get(res::kNodes, "", "node1"), {"metadata", "labels", "kubevirt.io/schedulable"}); };
  auto untouched = [&] {
    CHECK(string_at(w.vmi(), {"metadata", "uid"}) == uid);
    CHECK(w.phase() == "Running");
    CHECK(string_at(w.pod(), {"metadata", "deletionTimestamp"}).empty());
    CHECK(schedulable() == "true");
  };
  SECTION("renewed in time, it goes on") {
    for (int i = 0; i < 20; ++i) {
      w.pass(10s);
      renew_fence(w, pod_uid, "30");
    }
    untouched();
    w.pass(35s);
    untouched();
  }
  SECTION("silent: nothing before the deadline and the margin") {
    w.pass(35s);
    untouched();
    w.pass(10s);
    CHECK(schedulable() == "false");
    CHECK(string_at(w.vmi(), {"metadata", "uid"}) != uid);
    CHECK(w.phase() == "Scheduling");
    CHECK(w.api->get(res::kPods, "n", pod) == nullptr);
    CHECK(w.pods() == 1);
  }
  SECTION("any of our requests fails, or its answer is lost") {
    bool after = GENERATE(false, true);
    int n = GENERATE(range(0, 8));
    DYNAMIC_SECTION((after ? "answer lost " : "never arrived ") << n) {
      (after ? w.api->lose_after : w.api->lose_before) = w.api->writes + n;
      w.pass(42s);
      w.pass(30s);
      CHECK(string_at(w.vmi(), {"metadata", "uid"}) != uid);
      CHECK(w.phase() == "Scheduling");
      CHECK(w.pods() == 1);
      CHECK(schedulable() == "false");
    }
  }
  SECTION("the cache is behind: the server knows of a renewal that the watch has not brought") {
    w.api->hold_watches = true;
    renew_fence(w, pod_uid, "30");
    w.pass(60s);
    CHECK(string_at(w.vmi(), {"metadata", "uid"}) == uid);
    CHECK(w.phase() == "Running");
    CHECK(schedulable() == "true");
    w.api->hold_watches = false;
    renew_fence(w, pod_uid, "30");
    w.pass(35s);
    untouched();
  }
  SECTION("a controller that starts anew waits the whole time") {
    w.pass(35s);
    w.end();
    w.clock.advance(1000s);
    w.start();
    w.pass(35s);
    untouched();
    w.pass(10s);
    CHECK(string_at(w.vmi(), {"metadata", "uid"}) != uid);
  }
  SECTION("an entry of another pod says nothing of this one") {
    renew_fence(w, "another", "5");
    w.pass(200s);
    untouched();
  }
  SECTION("the Lease is taken away: nothing is known any more") {
    w.api->erase(res::kLeases, "kubevirt", "virt-handler-node1");
    w.pass(200s);
    untouched();
  }
  SECTION("it was to be deleted: it goes") {
    w.switch_to("Halted");
    CHECK(w.word() == "Stopping");
    w.pass(60s);
    CHECK(w.vmi().is_null());
    CHECK(w.pods() == 0);
    CHECK(w.word() == "Stopped");
  }
  SECTION("it had ended, and its pod waits for the silent node") {
    w.set_phase("Succeeded");
    CHECK_FALSE(string_at(w.pod(), {"metadata", "deletionTimestamp"}).empty());
    CHECK(string_at(w.vmi(), {"metadata", "uid"}) == uid);
    w.pass(60s);
    CHECK(string_at(w.vmi(), {"metadata", "uid"}) != uid);
  }
}

TEST_CASE("a fence that nobody arms: no guest was started, and one is elsewhere") {
  World w;
  w.machine("Always", Json::array(), {{"nodevirt.io/fence-seconds", "30"}});
  w.run_pod();
  REQUIRE(w.phase() == "Scheduled");
  std::string uid = string_at(w.vmi(), {"metadata", "uid"}), pod = string_at(w.pod(), {"metadata", "name"}), pod_uid = string_at(w.pod(), {"metadata", "uid"});
  auto schedulable = [&] { return string_at(*w.api->get(res::kNodes, "", "node1"), {"metadata", "labels", "kubevirt.io/schedulable"}); };
  CHECK(string_at(w.vmi(), {"metadata", "annotations", "nodevirt.io/fence-at-start"}) == "30");
  SECTION("asked for later, the guest may have started without: nothing is known") {
    w.edit(res::kVirtualMachineInstances, w.vmi(), [](Json& i) { i["metadata"]["annotations"].erase("nodevirt.io/fence-at-start"); });
    w.pass(600s);
    CHECK(w.phase() == "Scheduled");
    return;
  }
  w.pass(95s);
  CHECK(w.phase() == "Scheduled");
  CHECK(schedulable() == "true");
  SECTION("it is given up") {
    w.pass(10s);
    w.pass(15s);  // the back-off of one that never ran
    CHECK(schedulable() == "false");
    CHECK(w.api->get(res::kPods, "n", pod) == nullptr);
    CHECK(string_at(w.vmi(), {"metadata", "uid"}) != uid);
    CHECK(w.phase() == "Scheduling");
  }
  SECTION("any of our requests fails, or its answer is lost") {
    bool after = GENERATE(false, true);
    int n = GENERATE(range(0, 8));
    DYNAMIC_SECTION((after ? "answer lost " : "never arrived ") << n) {
      (after ? w.api->lose_after : w.api->lose_before) = w.api->writes + n;
      for (int i = 0; i < 6; ++i) w.pass(10s);
      CHECK(string_at(w.vmi(), {"metadata", "uid"}) != uid);
      CHECK(w.pods() == 1);
      CHECK(schedulable() == "false");
    }
  }
  SECTION("it was to be deleted: it goes") {
    w.switch_to("Halted");
    w.pass(30s);
    w.pass(30s);
    CHECK(w.vmi().is_null());
    CHECK(w.pods() == 0);
  }
  SECTION("armed after all: its deadline counts") {
    renew_fence(w, pod_uid, "30");
    w.pass(35s);
    CHECK(w.phase() == "Scheduled");
    CHECK(string_at(w.vmi(), {"metadata", "uid"}) == uid);
  }
  SECTION("armed, and the watch has not told") {
    w.api->hold_watches = true;
    renew_fence(w, pod_uid, "30");
    w.pass(100s);
    CHECK(w.phase() == "Scheduled");
    CHECK(schedulable() == "true");
  }
  SECTION("armed when it had been given up: its pod waits for the deadline") {
    w.api->fault = [&](const net::Request& q) -> std::optional<Error> {
      if (q.method == "DELETE" && q.path().find("/pods/") != std::string::npos) return Error(Code::Unavailable, "busy");
      return std::nullopt;
    };
    w.pass(10s);
    REQUIRE(w.phase() == "Failed");
    CHECK(string_at(w.vmi(), {"status", "reason"}) == "FenceNeverArmed");
    renew_fence(w, pod_uid, "30");
    w.api->fault = nullptr;
    w.pass(30s);
    CHECK(w.api->get(res::kPods, "n", pod) != nullptr);
    CHECK(string_at(w.vmi(), {"metadata", "uid"}) == uid);
    w.pass(15s);
    w.pass(15s);
    CHECK(string_at(w.vmi(), {"metadata", "uid"}) != uid);
  }
}

TEST_CASE("an instance whose fence deadline passed says why") {
  World w;
  w.machine("Manual");
  w.edit(res::kVirtualMachines, w.vm(), [](Json& m) { m["status"]["stateChangeRequests"] = Json::array({Json{{"action", "Start"}}}); });
  w.run_pod();
  w.set_phase("Running");
  renew_fence(w, string_at(w.pod(), {"metadata", "uid"}), "5");
  w.pass(16s);
  CHECK(w.phase() == "Failed");
  CHECK(string_at(w.vmi(), {"status", "reason"}) == "FenceDeadlinePassed");
  CHECK(w.pods() == 0);
}

TEST_CASE("what is at rest causes no requests") {
  World w;
  w.machine("Always");
  w.run_pod();
  w.set_phase("Running");
  w.pass(30s);
  int before = w.api->writes;
  std::size_t all = w.api->requests.size();
  for (int i = 0; i < 4; ++i) w.pass(60s);
  CHECK(w.api->writes == before);
  CHECK(w.api->requests.size() == all);
}
