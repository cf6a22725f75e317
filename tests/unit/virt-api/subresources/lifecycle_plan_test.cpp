// KubeVirt's table of what start, stop and restart do under each run strategy.
#include <catch2/catch.hpp>

#include "pkg/k8s/json_patch.hpp"
#include "pkg/k8s/status.hpp"
#include "virt-api/subresources/lifecycle_plan.hpp"

using namespace nodevirt;
using namespace nodevirt::virt_api;

namespace {

Json vm_of(const std::string& strategy) {
  Json vm = {{"metadata", {{"name", "vm1"}}}, {"spec", {{"template", {{"spec", Json::object()}}}}}, {"status", {{"printableStatus", "x"}}}};
  if (strategy == "true") vm["spec"]["running"] = true;
  else if (strategy == "false") vm["spec"]["running"] = false;
  else vm["spec"]["runStrategy"] = strategy;
  return vm;
}

Json vmi_of(const std::string& phase) {
  return {{"metadata", {{"name", "vm1"}, {"uid", "u1"}}}, {"spec", {{"terminationGracePeriodSeconds", 30}}}, {"status", {{"phase", phase}}}};
}

/// The plan in short: "409 reason", or what the object looks like after the patches.
std::string outcome(Result<std::vector<LifecycleStep>> plan, Json vm, Json vmi) {
  if (!plan.ok()) return fmt::format("{} {}", k8s::http_status(plan.error()), plan.error().message);
  std::string out;
  for (const auto& step : *plan) {
    bool on_vmi = step.target == LifecycleStep::Target::Vmi;
    auto applied = k8s::apply_json_patch(on_vmi ? vmi : vm, step.patch);
    REQUIRE(applied.ok());
    if (on_vmi) {
      out += "grace=" + std::to_string(int_at(*applied, {"spec", "terminationGracePeriodSeconds"})) + " ";
      CHECK(k8s::apply_json_patch(*applied, step.undo).value_or(Json()) == vmi);
    } else if (step.target == LifecycleStep::Target::VmStatus) {
      for (const auto& r : (*applied)["status"]["stateChangeRequests"])
        out += string_at(r, {"action"}) + (r.contains("uid") ? "{" + string_at(r, {"uid"}) + "}" : "") + (r.contains("data") ? "{paused}" : "") + " ";
      CHECK_FALSE((*applied)["status"].contains("startFailure"));
    } else {
      const auto& spec = (*applied)["spec"];
      out += spec.contains("running") ? (spec["running"] == true ? "running=true " : "running=false ") : "strategy=" + string_at(spec, {"runStrategy"}) + " ";
      CHECK((spec.contains("running") ? 1 : 0) + (spec.contains("runStrategy") ? 1 : 0) == 1);
    }
  }
  if (!out.empty()) out.pop_back();
  return out;
}

constexpr const char* kConflict = "409 Operation cannot be fulfilled on virtualmachine.kubevirt.io \"vm1\": ";

}  // namespace

TEST_CASE("start", "[virt-api]") {
  struct Case {
    std::string strategy, phase;  // phase "-": no instance
    bool paused;
    std::string want;
  };
  const std::string c = kConflict;
  for (const auto& t : std::vector<Case>{
           {"Halted", "-", false, "strategy=Always"},
           {"false", "-", false, "running=true"},
           {"Halted", "-", true, "Start{paused}"},
           {"Halted", "Running", false, c + "VM is already running"},
           {"Manual", "-", false, "Start"},
           {"Manual", "-", true, "Start{paused}"},
           {"Manual", "Succeeded", false, "Stop{u1} Start"},
           {"Manual", "Failed", false, "Stop{u1} Start"},
           {"Manual", "Scheduling", false, c + "VM is already running"},
           {"RerunOnFailure", "-", false, "Start"},
           {"RerunOnFailure", "Succeeded", false, "Stop{u1} Start"},
           {"RerunOnFailure", "Failed", false, c + "RerunOnFailure does not support starting VM from failed state"},
           {"Always", "-", false, c + "Always does not support manual start requests"},
           {"true", "-", false, c + "Always does not support manual start requests"},
           {"Once", "-", false, c + "Once does not support manual start requests"},
       }) {
    DYNAMIC_SECTION(t.strategy << " " << t.phase << " " << t.paused) {
      auto vm = vm_of(t.strategy);
      auto vmi = vmi_of(t.phase);
      CHECK(outcome(plan_start(vm, t.phase == "-" ? nullptr : &vmi, t.paused), vm, vmi) == t.want);
    }
  }
}

TEST_CASE("stop", "[virt-api]") {
  struct Case {
    std::string strategy, phase;
    std::optional<std::int64_t> grace;
    std::string want;
  };
  const std::string c = kConflict;
  for (const auto& t : std::vector<Case>{
           {"Always", "Running", {}, "strategy=Halted"},
           {"true", "Running", {}, "running=false"},
           {"Always", "-", {}, "strategy=Halted"},
           {"Always", "Running", 0, "grace=0 strategy=Halted"},
           {"Once", "Running", {}, "strategy=Halted"},
           {"Manual", "Running", {}, "Stop{u1}"},
           {"Manual", "Running", 5, "grace=5 Stop{u1}"},
           {"Manual", "-", {}, c + "VM is not running"},
           {"RerunOnFailure", "Running", {}, "Stop{u1}"},
           {"RerunOnFailure", "Succeeded", {}, c + "VM is not running"},
           {"Halted", "-", {}, c + "VM is not running"},
           {"Halted", "Running", {}, c + "Halted only supports manual stop requests with a shorter graceperiod"},
           {"Halted", "Running", 60, c + "Halted only supports manual stop requests with a shorter graceperiod"},
           {"Halted", "Running", 0, "grace=0 Stop{u1}"},
           {"Manual", "Running", -1, "400 gracePeriod has to be greater or equal to 0"},
       }) {
    DYNAMIC_SECTION(t.strategy << " " << t.phase << " " << t.grace.value_or(-2)) {
      auto vm = vm_of(t.strategy);
      auto vmi = vmi_of(t.phase);
      CHECK(outcome(plan_stop(vm, t.phase == "-" ? nullptr : &vmi, t.grace), vm, vmi) == t.want);
    }
  }
}

TEST_CASE("restart", "[virt-api]") {
  struct Case {
    std::string strategy, phase;
    std::optional<std::int64_t> grace;
    std::string want;
  };
  const std::string c = kConflict;
  for (const auto& t : std::vector<Case>{
           {"Always", "Running", {}, "Stop{u1} Start"},
           {"Manual", "Running", {}, "Stop{u1} Start"},
           {"RerunOnFailure", "Running", 0, "grace=1 Stop{u1} Start"},
           {"Always", "-", {}, c + "VM is not running: Halted"},
           {"Halted", "Running", {}, c + "RunStategy Halted does not support manual restart requests"},
           {"Once", "Running", {}, c + "RunStategy Once does not support manual restart requests"},
           {"Always", "Running", 5, "400 a restart takes only gracePeriodSeconds 0, which forces it"},
       }) {
    DYNAMIC_SECTION(t.strategy << " " << t.phase << " " << t.grace.value_or(-2)) {
      auto vm = vm_of(t.strategy);
      auto vmi = vmi_of(t.phase);
      CHECK(outcome(plan_restart(vm, t.phase == "-" ? nullptr : &vmi, t.grace), vm, vmi) == t.want);
    }
  }
}

TEST_CASE("a request while one is underway", "[virt-api]") {
  auto vm = vm_of("Manual");
  vm["status"]["stateChangeRequests"] = Json::array({{{"action", "Start"}}});
  vm["status"]["startFailure"] = {{"consecutiveFailCount", 2}};
  auto vmi = vmi_of("Running");
  CHECK(outcome(plan_start(vm, nullptr, false), vm, vmi) == std::string(kConflict) + "unable to complete request: stop/start already underway");
  CHECK(outcome(plan_restart(vm, &vmi, {}), vm, vmi) == std::string(kConflict) + "unable to complete request: stop/start already underway");
  CHECK(outcome(plan_stop(vm, &vmi, {}), vm, vmi) == "Stop{u1}");
}

TEST_CASE("every patch fails when the object has changed meanwhile", "[virt-api]") {
  auto vmi = vmi_of("Running");
  for (std::string strategy : {"Halted", "Manual", "false"}) {
    auto vm = vm_of(strategy);
    auto plan = plan_start(vm, nullptr, false);
    REQUIRE(plan.ok());
    auto other = vm;
    other["status"]["stateChangeRequests"] = Json::array({{{"action", "Stop"}}});
    if (strategy != "Manual") (other["spec"].contains("running") ? other["spec"]["running"] : other["spec"]["runStrategy"]) = "changed";
    CHECK_FALSE(k8s::apply_json_patch(other, (*plan)[0].patch).ok());
  }
}

TEST_CASE("a stop ends the restart that is underway", "[virt-api]") {
  Json vm = vm_of("true"), vmi = vmi_of("Running");
  vm["status"]["stateChangeRequests"] = Json::array({{{"action", "Start"}}});
  auto plan = plan_stop(vm, &vmi, std::nullopt);
  REQUIRE(plan.ok());
  REQUIRE(plan->size() == 2);
  CHECK((*plan)[0].target == LifecycleStep::Target::VmStatus);
  auto cleared = k8s::apply_json_patch(vm, (*plan)[0].patch);
  REQUIRE(cleared.ok());
  CHECK((*cleared)["status"]["stateChangeRequests"].empty());
  CHECK((*plan)[1].target == LifecycleStep::Target::Vm);
  // Still right when the requests were done meanwhile.
  vm["status"].erase("stateChangeRequests");
  CHECK(k8s::apply_json_patch(vm, (*plan)[0].patch).ok());
}
