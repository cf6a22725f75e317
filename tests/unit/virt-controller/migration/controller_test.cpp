// Migrations and evacuations against a server in memory; the two virt-handlers are played by the test. The last
// case fails every single request once, before or after it was done.
#include <catch2/catch.hpp>

#include "api/migration_config.hpp"
#include "api/names.hpp"
#include "tests/support/running_controllers.hpp"
#include "virt-controller/status_patch.hpp"

using namespace nodevirt;
using namespace nodevirt::virt_controller;
namespace res = k8s::resources;

namespace {

struct Stage : testing::RunningControllers {
  Stage() : RunningControllers(80) {
    for (const char* name : {"source", "target"})
      api->put(res::kNodes, {{"metadata", {{"name", name}, {"labels", {{"kubevirt.io/schedulable", "true"}, {"nodevirt.io/accelerator", "tcg"}}},
                                           {"annotations", {{"kubevirt.io/heartbeat", "2026-01-01T00:00:00Z"}}}}}});
    api->put(res::kNamespaces, {{"metadata", {{"name", "n"}, {"labels", {{"team", "a"}}}}}});
    start();
  }

  // An instance that runs on `source`, as virt-handler has reported it.
  void instance(const std::string& name = "vm", Json spec = Json::object()) {
    spec["domain"]["memory"]["guest"] = "64Mi";
    Json labels = {{"kubevirt.io/nodeName", "source"}, {"app", name}};
    Json conditions = Json::array({Json{{"type", "LiveMigratable"}, {"status", "True"}}});
    Json made = api->put(res::kVirtualMachineInstances,
                         {{"metadata", {{"name", name}, {"namespace", "n"}, {"labels", labels}, {"finalizers", {"kubevirt.io/foregroundDeleteVirtualMachine"}}}},
                          {"spec", spec}, {"status", {{"phase", "Running"}, {"nodeName", "source"}, {"conditions", conditions}}}});
    api->put(res::kPods, {{"metadata", {{"name", "virt-launcher-" + name}, {"namespace", "n"}, {"annotations", {{"kubevirt.io/domain", name}}},
                                        {"labels", {{"kubevirt.io", "virt-launcher"}, {"kubevirt.io/created-by", string_at(made, {"metadata", "uid"})}}}}},
                          {"spec", {{"nodeName", "source"}}},
                          {"status", {{"phase", "Running"}, {"containerStatuses", Json::array({Json{{"name", "compute"}, {"state", {{"running", Json::object()}}}}})}}}});
    settle();
  }
  void migrate(const std::string& name = "m", const std::string& vmi = "vm", Json more = Json::object()) {
    Json spec = {{"vmiName", vmi}};
    spec.update(more);
    Json metadata = {{"name", name}, {"namespace", "n"}, {"creationTimestamp", format_time(clock.wall())}};
    api->put(res::kVirtualMachineInstanceMigrations, {{"metadata", metadata}, {"spec", spec}});
    settle();
  }
  Json of(const k8s::Resource& r, const std::string& name) const { auto* o = api->get(r, "n", name); return o ? *o : Json(); }
  Json vmi(const std::string& name = "vm") const { return of(res::kVirtualMachineInstances, name); }
  Json vmim(const std::string& name = "m") const { return of(res::kVirtualMachineInstanceMigrations, name); }
  std::string phase(const std::string& name = "m") const { return string_at(vmim(name), {"status", "phase"}); }
  std::string line(const std::string& name = "m") const { return string_at(vmim(name), {"metadata", "annotations", api::kMigrationSummaryAnnotation}); }
  Json state(const std::string& name = "vm") const { auto i = vmi(name); const Json* s = find(i, {"status", "migrationState"}); return s ? *s : Json(); }
  Json target(const std::string& migration = "m") const {
    std::string uid = string_at(vmim(migration), {"metadata", "uid"});
    for (const auto& p : controllers->context().pods.list())
      if (p->migration_uid == uid && !uid.empty()) return of(res::kPods, p->meta.name);
    return Json();
  }
  void edit(const k8s::Resource& r, Json object, const std::function<void(Json&)>& change) {
    REQUIRE(object.is_object());
    change(object);
    api->put(r, object);
    settle();
  }
  void run_target(const std::string& migration = "m") {
    edit(res::kPods, target(migration), [](Json& p) {
      p["spec"]["nodeName"] = "target";
      p["status"] = {{"phase", "Running"}, {"containerStatuses", Json::array({Json{{"name", "compute"}, {"state", {{"running", Json::object()}}}}})}};
    });
  }
  void say(const char* key, Json value, const std::string& name = "vm") {
    edit(res::kVirtualMachineInstances, vmi(name), [&](Json& i) { i["status"]["migrationState"][key] = std::move(value); });
  }
  void begin(const std::string& migration = "m", const std::string& name = "vm") {
    run_target(migration);
    say("targetNodeAddress", "10.0.0.2:1", name);
    say("startTimestamp", format_time(clock.wall()), name);
  }
  void complete(const std::string& name = "vm") {
    edit(res::kVirtualMachineInstances, vmi(name), [&](Json& i) {
      i["status"]["nodeName"] = "target";
      i["metadata"]["labels"]["kubevirt.io/nodeName"] = "target";
      i["status"]["migrationState"]["completed"] = true;
      i["status"]["migrationState"]["endTimestamp"] = format_time(clock.wall());
    });
  }
  void remove(const std::string& name = "m") {
    edit(res::kVirtualMachineInstanceMigrations, vmim(name), [](Json& m) { m["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"; });
  }
  bool deleting(const Json& object) const { return !string_at(object, {"metadata", "deletionTimestamp"}).empty(); }
};

}  // namespace

TEST_CASE("from one node to the other") {
  Stage w;
  w.instance();
  w.migrate();
  CHECK(w.phase() == "Scheduling");
  CHECK(has_finalizer(w.vmim(), api::kMigrationFinalizer));
  REQUIRE(w.target().is_object());
  CHECK(string_at(w.target(), {"spec", "nodeSelector", "nodevirt.io/accelerator"}) == "tcg");
  CHECK(w.state().is_null());
  w.run_target();
  CHECK(w.phase() == "PreparingTarget");
  CHECK(w.state()["targetNode"] == "target");
  CHECK(w.state()["sourcePod"] == "virt-launcher-vm");
  CHECK(string_at(w.vmi(), {"metadata", "labels", api::kMigrationTargetNodeLabel}) == "target");
  // The target's pod is not the instance's yet.
  CHECK(find_condition(w.target(), "kubevirt.io/virtual-machine-unpaused") == nullptr);
  w.say("targetNodeAddress", "10.0.0.2:1");
  CHECK(w.phase() == "TargetReady");
  w.say("startTimestamp", "2026-01-01T00:00:00Z");
  CHECK(w.phase() == "Running");
  w.complete();
  CHECK(w.phase() == "Succeeded");
  CHECK(w.deleting(w.of(res::kPods, "virt-launcher-vm")));
  CHECK_FALSE(w.deleting(w.target()));
  CHECK_FALSE(has_finalizer(w.vmim(), api::kMigrationFinalizer));
  CHECK(string_at(w.vmi(), {"metadata", "labels", api::kMigrationTargetNodeLabel}).empty());
  CHECK(string_at(w.vmi(), {"status", "phase"}) == "Running");
  // The end of the pod that was left is nobody's failure.
  w.api->erase(res::kPods, "n", "virt-launcher-vm");
  w.pass(600s);
  CHECK(string_at(w.vmi(), {"status", "phase"}) == "Running");
}

TEST_CASE("a guest that came back leaves from the pod that it is in, not from the one that it left earlier") {
  for (bool failed_since : {false, true}) {
    Stage w;
    w.instance();
    w.edit(res::kPods, w.of(res::kPods, "virt-launcher-vm"), [&](Json& p) {
      Json back = p;
      back["metadata"]["name"] = "virt-launcher-vm-back";
      for (const char* key : {"uid", "resourceVersion"}) back["metadata"].erase(key);
      w.api->put(res::kPods, back);
      p["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z";
      p["metadata"]["finalizers"] = {"x/y"};
    });
    w.edit(res::kVirtualMachineInstances, w.vmi(), [&](Json& i) {
      i["status"]["migrationState"] = {{"migrationUid", "before"}, {"completed", true}, {"failed", failed_since},
                                       {"sourcePod", failed_since ? "virt-launcher-vm-back" : "elsewhere"},
                                       {"targetPod", failed_since ? "elsewhere" : "virt-launcher-vm-back"}};
    });
    w.migrate();
    w.run_target();
    CHECK(w.state()["sourcePod"] == "virt-launcher-vm-back");
  }
}

TEST_CASE("the source's pod may end before the target has taken over") {
  Stage w;
  w.instance();
  w.migrate();
  w.begin();
  w.edit(res::kPods, w.of(res::kPods, "virt-launcher-vm"), [](Json& p) { p["status"]["phase"] = "Succeeded"; });
  w.pass(600s);
  CHECK(string_at(w.vmi(), {"status", "phase"}) == "Running");
  w.complete();
  CHECK(w.phase() == "Succeeded");
  CHECK(string_at(w.vmi(), {"status", "phase"}) == "Running");
}

TEST_CASE("a migration that virt-handler reports as failed leaves the guest where it is") {
  Stage w;
  w.instance();
  w.migrate();
  w.begin();
  w.edit(res::kVirtualMachineInstances, w.vmi(), [](Json& i) {
    i["status"]["migrationState"]["failed"] = true;
    i["status"]["migrationState"]["failureReason"] = "it does not converge";
  });
  CHECK(w.phase() == "Failed");
  CHECK(w.line() == "it does not converge");
  CHECK(w.deleting(w.target()));
  CHECK_FALSE(w.deleting(w.of(res::kPods, "virt-launcher-vm")));
  w.api->erase(res::kPods, "n", string_at(w.target(), {"metadata", "name"}));
  w.settle();
  CHECK(string_at(w.vmi(), {"metadata", "labels", api::kMigrationTargetNodeLabel}).empty());
  // And the next one works.
  w.migrate("m2");
  w.begin("m2");
  w.complete();
  CHECK(w.phase("m2") == "Succeeded");
}

TEST_CASE("cancelling before and after the hand-over") {
  Stage w;
  w.instance();
  w.migrate();
  SECTION("before the target runs") {
    std::string target = string_at(w.target(), {"metadata", "name"});
    w.remove();
    CHECK(w.vmim().is_null());
    CHECK(w.deleting(w.of(res::kPods, target)));
    CHECK(w.state().is_null());
  }
  SECTION("before the source has begun") {
    w.run_target();
    w.remove();
    CHECK(w.state()["failed"] == true);
    CHECK(w.state()["abortStatus"] == "Succeeded");
    w.api->erase(res::kPods, "n", string_at(w.target(), {"metadata", "name"}));
    w.settle();
    CHECK(w.vmim().is_null());
  }
  SECTION("while it runs") {
    w.begin();
    w.remove();
    CHECK(w.phase() == "Running");
    CHECK(w.state()["abortRequested"] == true);
    CHECK(condition_is(w.vmim(), "migrationAbortRequested", "True"));
    w.edit(res::kVirtualMachineInstances, w.vmi(), [](Json& i) {
      i["status"]["migrationState"]["failed"] = true;
      i["status"]["migrationState"]["abortStatus"] = "Succeeded";
    });
    CHECK(w.phase() == "Failed");
  }
  SECTION("too late") {
    w.begin();
    w.remove();
    w.complete();
    CHECK(w.vmim().is_null());
    CHECK(w.deleting(w.of(res::kPods, "virt-launcher-vm")));
    CHECK(string_at(w.vmi(), {"status", "nodeName"}) == "target");
  }
}

TEST_CASE("limits and priorities") {
  Stage w;
  for (const char* name : {"a", "b", "c", "d"}) w.instance(name);
  for (const char* name : {"a", "b", "c"}) w.migrate(std::string("m-") + name, name);
  w.migrate("m-d", "d", {{"priority", "system-critical"}});
  CHECK(w.phase("m-a") == "Scheduling");
  CHECK(w.phase("m-b") == "Scheduling");
  CHECK(w.phase("m-c") == "Pending");
  CHECK(w.phase("m-d") == "Pending");
  CHECK_THAT(w.line("m-c"), Catch::StartsWith("queued: 2 of 2 migrations away from node source run"));
  w.begin("m-a", "a");
  w.complete("a");
  CHECK(w.phase("m-a") == "Succeeded");
  CHECK(w.phase("m-d") == "Scheduling");  // the more important one goes first
  CHECK(w.phase("m-c") == "Pending");
  // More room, by the cluster's settings.
  w.api->put(res::kKubeVirts, {{"metadata", {{"name", "kubevirt"}, {"namespace", "kubevirt"}}},
                               {"spec", {{"configuration", {{"migrations", {{"parallelOutboundMigrationsPerNode", 9}}}}}}}});
  w.settle();
  CHECK(w.phase("m-c") == "Scheduling");
}

TEST_CASE("a second migration of an instance is refused, and five finalised ones are kept") {
  Stage w;
  w.instance();
  w.migrate("m0");
  w.pass(1s);
  w.migrate("twin");
  CHECK(w.phase("twin") == "Failed");
  CHECK(w.phase("m0") == "Scheduling");
  for (int i = 0; i < 7; ++i) {
    w.pass(1s);
    w.migrate("x" + std::to_string(i));
  }
  int kept = 0;
  for (int i = 0; i < 7; ++i) kept += w.vmim("x" + std::to_string(i)).is_object();
  CHECK(kept == 5);
  CHECK(w.vmim("twin").is_null());
  CHECK(w.vmim("x6").is_object());
  CHECK(w.phase("m0") == "Scheduling");
}

TEST_CASE("no node for the target") {
  Stage w;
  w.instance();
  w.migrate();
  w.edit(res::kPods, w.target(), [](Json& p) {
    p["status"] = {{"phase", "Pending"}, {"conditions", Json::array({Json{{"type", "PodScheduled"}, {"status", "False"}, {"reason", "Unschedulable"}, {"message", "0/2 nodes"}}})}};
  });
  CHECK(w.line() == "no node takes it: 0/2 nodes");
  w.pass(295s);
  CHECK(w.phase() == "Scheduling");
  w.pass(6s);
  CHECK(w.phase() == "Failed");
  CHECK(w.deleting(w.target()));
}

TEST_CASE("the policy that fits decides") {
  Stage w;
  w.api->put(res::kMigrationPolicies, {{"metadata", {{"name", "gentle"}, {"annotations", {{"nodevirt.io/max-throttle-percent", "30"}}}}},
                                       {"spec", {{"selectors", {{"namespaceSelector", {{"team", "a"}}}}}, {"maxDowntimeMs", 50}}}});
  w.instance();
  w.migrate();
  w.run_target();
  CHECK(w.state()["migrationPolicyName"] == "gentle");
  CHECK(w.state()["migrationConfiguration"]["maxDowntimeMs"] == 50);
  CHECK_THAT(string_at(w.vmi(), {"metadata", "annotations", api::kMigrationSettingsAnnotation}), Catch::Contains("30"));
}

TEST_CASE("an evicted instance leaves its node") {
  Stage w;
  w.instance("vm", {{"evictionStrategy", "LiveMigrate"}});
  w.edit(res::kVirtualMachineInstances, w.vmi(), [](Json& i) { i["status"]["evacuationNodeName"] = "source"; });
  auto made = [&] {
    std::vector<std::string> names;
    for (const auto& line : w.api->requests)
      if (line == "POST /apis/kubevirt.io/v1/namespaces/n/virtualmachineinstancemigrations") names.push_back(line);
    return names.size();
  };
  CHECK(made() == 1);
  w.pass(60s);
  CHECK(made() == 1);
  w.edit(res::kVirtualMachineInstances, w.vmi(), [](Json& i) { i["status"]["nodeName"] = "target"; });
  CHECK(string_at(w.vmi(), {"status", "evacuationNodeName"}).empty());
}

TEST_CASE("the drain taint empties a node") {
  Stage w;
  w.instance("a", {{"evictionStrategy", "LiveMigrate"}});
  w.instance("b", {{"evictionStrategy", "None"}});
  Json node = *w.api->get(res::kNodes, "", "source");
  w.edit(res::kNodes, node, [](Json& n) { n["spec"]["taints"] = Json::array({Json{{"key", "kubevirt.io/drain"}, {"effect", "NoSchedule"}}}); });
  int a = 0, b = 0;
  for (const auto& m : w.controllers->context().pods.list()) {
    a += m->instance_name == "a";
    b += m->instance_name == "b";
  }
  CHECK(a == 2);
  CHECK(b == 1);
}

TEST_CASE("no request that fails or whose answer is lost loses or doubles a migration") {
  bool after = GENERATE(false, true);
  int n = GENERATE(range(0, 22));
  DYNAMIC_SECTION((after ? "answer lost " : "never arrived ") << n) {
    Stage w;
    w.instance();
    int base = w.api->writes;
    (after ? w.api->lose_after : w.api->lose_before) = base + n;
    w.migrate();
    w.pass(2s);
    REQUIRE(w.target().is_object());
    w.begin();
    w.pass(2s);
    CHECK(w.phase() == "Running");
    w.complete();
    w.pass(12s);
    CHECK(w.phase() == "Succeeded");
    CHECK(w.deleting(w.of(res::kPods, "virt-launcher-vm")));
    CHECK_FALSE(w.deleting(w.target()));
    CHECK_FALSE(has_finalizer(w.vmim(), api::kMigrationFinalizer));
    CHECK(w.controllers->context().pods.list().size() == 2);
    CHECK(string_at(w.vmi(), {"status", "phase"}) == "Running");
  }
}
