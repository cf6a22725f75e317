// The table of run strategies: what happens to the instance in every state.
#include <catch2/catch.hpp>

#include "virt-controller/vm/plan.hpp"

using namespace nodevirt;
using namespace nodevirt::virt_controller::vm;

namespace {

Json machine(const char* strategy, const char* request = "", const char* recorded = "") {
  Json m = {{"metadata", {{"name", "vm"}, {"namespace", "n"}, {"uid", "vm-uid"}, {"generation", 3},
                          {"finalizers", {"kubevirt.io/virtualMachineControllerFinalize"}}}}, {"spec", Json::object()}};
  std::string s = strategy, r = request;
  if (s == "running") m["spec"]["running"] = true;
  else if (s == "stopped") m["spec"]["running"] = false;
  else m["spec"]["runStrategy"] = s;
  if (r == "start") m["status"]["stateChangeRequests"] = {{{"action", "Start"}}};
  if (r == "start-paused") m["status"]["stateChangeRequests"] = Json::array({Json{{"action", "Start"}, {"data", {{"paused", "true"}}}}});
  if (r == "stop") m["status"]["stateChangeRequests"] = Json::array({Json{{"action", "Stop"}, {"uid", "vmi-uid"}}});
  if (r == "stop-other") m["status"]["stateChangeRequests"] = Json::array({Json{{"action", "Stop"}, {"uid", "older"}}});
  if (*recorded) m["status"]["runStrategy"] = recorded;
  return m;
}

Json instance(const char* phase, bool deleting = false, const char* owner = "vm-uid") {
  Json i = {{"metadata", {{"name", "vm"}, {"namespace", "n"}, {"uid", "vmi-uid"}}}, {"status", {{"phase", phase}}}};
  if (*owner) i["metadata"]["ownerReferences"] = Json::array({Json{{"uid", owner}, {"controller", true}}});
  if (deleting) i["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z";
  return i;
}

Plan plan_of(const Json& m, const Json& i, bool create_pending = false, bool delete_pending = false, Clock::WallTime now = {}) {
  Machine machine = Machine::of(m);
  std::optional<Instance> inst;
  if (!i.is_null()) inst = Instance::of(i);
  PlanInput in{machine, inst ? &*inst : nullptr, create_pending, delete_pending, now};
  return plan(in);
}

const char* name(Step s) {
  switch (s) {
    case Step::None: return "none";
    case Step::Adopt: return "adopt";
    case Step::Create: return "create";
    case Step::Delete: return "delete";
    case Step::SwitchOn: return "switch on";
    case Step::RemoveFinalizer: return "release";
  }
  return "?";
}

}  // namespace

TEST_CASE("run strategies") {
  struct Case { const char *strategy, *request, *recorded, *phase, *want; bool request_start = false; };
  const char* none = nullptr;
  auto c = GENERATE_COPY(values<Case>({
      {"running", "", "", none, "create"}, {"running", "", "", "Running", "none"}, {"running", "", "", "Pending", "none"},
      {"running", "", "", "Succeeded", "delete"}, {"running", "", "", "Failed", "delete"}, {"running", "stop", "", "Running", "delete"},
      {"running", "stop-other", "", "Running", "none"},
      {"stopped", "", "", none, "none"}, {"stopped", "", "", "Running", "delete"}, {"stopped", "", "", "Failed", "delete"},
      {"stopped", "start-paused", "", none, "switch on"},
      {"Always", "", "", none, "create"}, {"Always", "", "", "Succeeded", "delete"},
      // A start from before somebody halted it is older than that word.
      {"stopped", "start-paused", "Halted", none, "switch on"}, {"stopped", "start-paused", "Always", none, "none"},
      {"Halted", "", "", "Scheduling", "delete"}, {"Halted", "start", "", none, "none"}, {"Halted", "start", "Always", "Running", "delete"},
      {"Manual", "", "", none, "none"}, {"Manual", "start", "", none, "create"}, {"Manual", "", "", "Running", "none"},
      {"Manual", "stop", "", "Running", "delete"}, {"Manual", "", "", "Succeeded", "none"}, {"Manual", "", "", "Failed", "none"},
      {"Manual", "stop", "", "Succeeded", "delete"},
      {"RerunOnFailure", "", "", none, "create"}, {"RerunOnFailure", "", "Halted", none, "create"},
      {"RerunOnFailure", "", "RerunOnFailure", none, "none"}, {"RerunOnFailure", "start", "RerunOnFailure", none, "create"},
      {"RerunOnFailure", "", "RerunOnFailure", "Running", "none"},
      {"RerunOnFailure", "", "RerunOnFailure", "Succeeded", "delete"},
      {"RerunOnFailure", "", "RerunOnFailure", "Failed", "delete", true},
      {"RerunOnFailure", "start", "RerunOnFailure", "Failed", "delete", false},
      {"RerunOnFailure", "stop", "RerunOnFailure", "Running", "delete"},
      {"Once", "", "", none, "create"}, {"Once", "", "", "Failed", "none"}, {"Once", "", "", "Succeeded", "none"},
      {"Once", "", "", "Running", "none"},
  }));
  DYNAMIC_SECTION(c.strategy << " request=" << c.request << " recorded=" << c.recorded << " phase=" << (c.phase ? c.phase : "-")) {
    Plan p = plan_of(machine(c.strategy, c.request, c.recorded), c.phase ? instance(c.phase) : Json());
    CHECK(name(p.step) == std::string(c.want));
    CHECK(p.request_start == c.request_start);
    CHECK_FALSE(p.failure.has_value());
    CHECK_FALSE(p.add_finalizer);
  }
}

TEST_CASE("an instance that is on its way out is waited for, never doubled") {
  for (const char* strategy : {"Always", "RerunOnFailure", "Once", "Manual", "Halted"}) {
    CAPTURE(strategy);
    CHECK(plan_of(machine(strategy, "start"), instance("Running", true)).step == Step::None);
    CHECK(plan_of(machine(strategy, "start"), instance("Failed", true)).step == Step::None);
  }
}

TEST_CASE("what we wrote and have not seen yet is not written again") {
  Plan p = plan_of(machine("Always"), Json(), true);
  CHECK(p.step == Step::None);
  CHECK(p.again.has_value());
  CHECK(plan_of(machine("Halted"), instance("Running"), false, true).step == Step::None);
}

TEST_CASE("what a final phase tells is recorded before the instance is deleted") {
  CHECK(plan_of(machine("Always"), instance("Failed")).record_first);
  CHECK_FALSE(plan_of(machine("Halted"), instance("Running")).record_first);
}

TEST_CASE("a crash back-off is waited out") {
  Json m = machine("Always");
  m["status"]["startFailure"] = {{"consecutiveFailCount", 2}, {"lastFailedVMIUID", "x"}, {"retryAfterTimestamp", "2026-01-01T00:00:40Z"}};
  auto at = [](const char* t) { return *parse_time(t); };
  Plan p = plan_of(m, Json(), false, false, at("2026-01-01T00:00:10Z"));
  CHECK(p.step == Step::None);
  REQUIRE(p.again);
  CHECK(*p.again == std::chrono::seconds(30));
  CHECK(plan_of(m, Json(), false, false, at("2026-01-01T00:00:40Z")).step == Step::Create);
  Plan set_back = plan_of(m, Json(), false, false, at("2025-01-01T00:00:00Z"));
  REQUIRE(set_back.again);
  CHECK(*set_back.again <= std::chrono::seconds(300));
}

TEST_CASE("adoption: an instance that nobody owns is taken over, another's is left alone") {
  CHECK(plan_of(machine("Always"), instance("Running", false, "")).step == Step::Adopt);
  CHECK(plan_of(machine("Halted"), instance("Running", false, "")).step == Step::Adopt);
  CHECK(plan_of(machine("Always"), instance("Running", true, "")).step == Step::None);
  Plan p = plan_of(machine("Always"), instance("Running", false, "other-uid"));
  CHECK(p.step == Step::None);
  CHECK(p.failure.has_value());
  CHECK_FALSE(plan_of(machine("Halted"), instance("Running", false, "other-uid")).failure.has_value());
}

TEST_CASE("deletion of the machine") {
  Json m = machine("Always");
  m["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z";
  CHECK(plan_of(m, instance("Running")).step == Step::Delete);
  CHECK(plan_of(m, instance("Running", true)).step == Step::None);
  CHECK(plan_of(m, Json()).step == Step::RemoveFinalizer);
  CHECK(plan_of(m, instance("Running", false, "other")).step == Step::RemoveFinalizer);
  SECTION("an instance that was made a moment ago is not lost sight of") { CHECK(plan_of(m, Json(), true).step == Step::None); }
  SECTION("orphaning leaves the instance") {
    m["metadata"]["finalizers"].push_back("orphan");
    CHECK(plan_of(m, instance("Running")).step == Step::RemoveFinalizer);
  }
  SECTION("nothing is left to do without our finalizer") {
    m["metadata"]["finalizers"] = Json::array({"orphan"});
    CHECK(plan_of(m, instance("Running")).step == Step::None);
  }
}

TEST_CASE("the finalizer is set on a machine that lives") {
  Json m = machine("Halted");
  m["metadata"].erase("finalizers");
  CHECK(plan_of(m, Json()).add_finalizer);
}

TEST_CASE("a strategy that makes no sense is a failure, not a guess") {
  Json both = machine("Always");
  both["spec"]["running"] = true;
  for (const Json& m : {both, machine("Sometimes"), machine("WaitAsReceiver")}) {
    Plan p = plan_of(m, Json());
    CHECK(p.step == Step::None);
    REQUIRE(p.failure);
    CHECK_FALSE(p.failure->message.empty());
  }
  Json neither = machine("Always");
  neither["spec"].erase("runStrategy");
  CHECK(plan_of(neither, Json()).step == Step::None);
}

TEST_CASE("change requests are dropped when they are done") {
  auto done = [](const char* request, const Json& i) {
    Machine m = Machine::of(machine("Manual", request));
    std::optional<Instance> inst;
    if (!i.is_null()) inst = Instance::of(i);
    return request_is_done(m, inst ? &*inst : nullptr);
  };
  CHECK(done("stop", Json()));
  CHECK_FALSE(done("stop", instance("Running")));
  CHECK_FALSE(done("stop", instance("Running", true)));
  CHECK(done("stop-other", instance("Running")));
  CHECK_FALSE(done("start", Json()));
  CHECK(done("start", instance("Pending")));
  CHECK_FALSE(done("start", instance("Running", true)));
  CHECK_FALSE(done("start", instance("Failed")));
}
