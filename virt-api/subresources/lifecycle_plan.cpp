#include "virt-api/subresources/lifecycle_plan.hpp"

#include <fmt/format.h>

#include "virt-api/reply.hpp"

namespace nodevirt::virt_api {

namespace {

using Steps = std::vector<LifecycleStep>;
using Target = LifecycleStep::Target;

constexpr std::string_view kUnderway = "unable to complete request: stop/start already underway";

std::string name_of(const Json& object) { return string_at(object, {"metadata", "name"}); }
std::string phase_of(const Json& vmi) { return string_at(vmi, {"status", "phase"}); }

bool is_final(const Json* vmi) {
  return vmi && (phase_of(*vmi) == "Succeeded" || phase_of(*vmi) == "Failed");
}

Json test(std::string path, Json value) { return {{"op", "test"}, {"path", std::move(path)}, {"value", std::move(value)}}; }
Json replace(std::string path, Json value) {
  return {{"op", "replace"}, {"path", std::move(path)}, {"value", std::move(value)}};
}
Json add(std::string path, Json value) { return {{"op", "add"}, {"path", std::move(path)}, {"value", std::move(value)}}; }

Json start_request(bool paused) {
  Json out = {{"action", "Start"}};
  if (paused) out["data"] = {{"paused", "true"}};
  return out;
}

Json stop_request(const Json& vmi) { return {{"action", "Stop"}, {"uid", string_at(vmi, {"metadata", "uid"})}}; }

/// The patch that puts requests into status.stateChangeRequests, if none is underway (a single stop
/// replaces what is there).
Result<LifecycleStep> request_change(const Json& vm, Json requests) {
  Json patch = Json::array();
  const Json* status = find(vm, {"status"});
  bool single_stop = requests.size() == 1 && string_at(requests[0], {"action"}) == "Stop";
  if (!status || !status->is_object() || status->empty()) {
    patch.push_back(add("/status", {{"stateChangeRequests", std::move(requests)}}));
  } else {
    const Json* now = find(*status, {"stateChangeRequests"});
    bool none = !now || !now->is_array() || now->empty();
    patch.push_back(test("/status/stateChangeRequests", now ? *now : Json()));
    if (none) patch.push_back(add("/status/stateChangeRequests", std::move(requests)));
    else if (single_stop) patch.push_back(replace("/status/stateChangeRequests", std::move(requests)));
    else return vm_conflict(name_of(vm), kUnderway);
  }
  if (find(vm, {"status", "startFailure"})) patch.push_back({{"op", "remove"}, {"path", "/status/startFailure"}});
  return LifecycleStep{Target::VmStatus, std::move(patch), Json()};
}

/// spec.running or spec.runStrategy, whichever the user wrote.
LifecycleStep set_running(const Json& vm, bool running) {
  if (const Json* strategy = find(vm, {"spec", "runStrategy"}); strategy && strategy->is_string()) {
    Json patch = {test("/spec/runStrategy", *strategy), replace("/spec/runStrategy", running ? "Always" : "Halted")};
    return {Target::Vm, std::move(patch), Json()};
  }
  const Json* now = find(vm, {"spec", "running"});
  Json patch = {test("/spec/running", now ? *now : Json()), add("/spec/running", running)};
  return {Target::Vm, std::move(patch), Json()};
}

/// A stop ends what is underway too: the second half of a restart would start the machine again. Without a
/// `test`: it is right whatever became of the requests meanwhile.
std::optional<LifecycleStep> drop_requests(const Json& vm) {
  const Json* now = find(vm, {"status", "stateChangeRequests"});
  if (!now || !now->is_array() || now->empty()) return std::nullopt;
  return LifecycleStep{Target::VmStatus, Json::array({add("/status/stateChangeRequests", Json::array())}), Json()};
}

LifecycleStep set_grace_period(const Json& vmi, std::int64_t seconds) {
  const Json* old = find(vmi, {"spec", "terminationGracePeriodSeconds"});
  constexpr const char* kPath = "/spec/terminationGracePeriodSeconds";
  Json patch = {test(kPath, old ? *old : Json()), add(kPath, seconds)};
  Json undo = Json::array({test(kPath, seconds)});
  if (old) undo.push_back(replace(kPath, *old));
  else undo.push_back({{"op", "remove"}, {"path", kPath}});
  return {Target::Vmi, std::move(patch), std::move(undo)};
}

bool condition_true(const Json& object, std::string_view type) {
  const Json* conditions = find(object, {"status", "conditions"});
  if (!conditions || !conditions->is_array()) return false;
  for (const auto& c : *conditions)
    if (string_at(c, {"type"}) == type) return string_at(c, {"status"}) == "True";
  return false;
}

}  // namespace

Result<std::string> run_strategy(const Json& vm) {
  const Json* running = find(vm, {"spec", "running"});
  auto strategy = string_at(vm, {"spec", "runStrategy"});
  bool has_running = running && running->is_boolean();
  if (has_running && !strategy.empty())
    return internal_error("running and runStrategy are mutually exclusive");
  if (has_running) return std::string(running->get<bool>() ? "Always" : "Halted");
  return strategy.empty() ? std::string("Halted") : strategy;
}

Result<Steps> plan_start(const Json& vm, const Json* vmi, bool paused) {
  auto name = name_of(vm);
  if (vmi && !is_final(vmi) && !phase_of(*vmi).empty() && phase_of(*vmi) != "Unknown")
    return vm_conflict(name, "VM is already running");
  if (condition_true(vm, "ManualRecoveryRequired"))
    return vm_conflict(name, "VM recovery is required before it can be started; see its condition ManualRecoveryRequired");
  NV_TRY(auto strategy, run_strategy(vm));
  Steps steps;
  if (strategy == "Halted") {
    bool starts_paused = string_at(vm, {"spec", "template", "spec", "startStrategy"}) == "Paused";
    if (paused && !starts_paused) {
      NV_TRY(auto step, request_change(vm, Json::array({start_request(true)})));
      steps.push_back(std::move(step));
    } else {
      steps.push_back(set_running(vm, true));
    }
    return steps;
  }
  if (strategy == "RerunOnFailure" || strategy == "Manual") {
    bool succeeded = vmi && phase_of(*vmi) == "Succeeded";
    if (strategy == "RerunOnFailure" && vmi && phase_of(*vmi) == "Failed")
      return vm_conflict(name, "RerunOnFailure does not support starting VM from failed state");
    bool again = strategy == "Manual" ? is_final(vmi) : succeeded;
    Json requests = Json::array();
    if (again) requests.push_back(stop_request(*vmi));
    requests.push_back(start_request(paused));
    NV_TRY(auto step, request_change(vm, std::move(requests)));
    steps.push_back(std::move(step));
    return steps;
  }
  return vm_conflict(name, fmt::format("{} does not support manual start requests", strategy));
}

Result<Steps> plan_stop(const Json& vm, const Json* vmi, std::optional<std::int64_t> grace_period) {
  auto name = name_of(vm);
  if (grace_period && *grace_period < 0) return bad_request("gracePeriod has to be greater or equal to 0");
  NV_TRY(auto strategy, run_strategy(vm));
  bool runs = vmi && !is_final(vmi);
  Steps steps;
  if (strategy == "Always" || strategy == "Once") {
    if (runs && grace_period) steps.push_back(set_grace_period(*vmi, *grace_period));
    if (auto step = drop_requests(vm)) steps.push_back(std::move(*step));
    steps.push_back(set_running(vm, false));
    return steps;
  }
  if (!runs) return vm_conflict(name, "VM is not running");
  if (strategy == "Halted") {
    const Json* old = find(*vmi, {"spec", "terminationGracePeriodSeconds"});
    bool shorter = grace_period && (!old || !old->is_number_integer() || *grace_period < old->get<std::int64_t>());
    if (!shorter) return vm_conflict(name, "Halted only supports manual stop requests with a shorter graceperiod");
  }
  if (grace_period) steps.push_back(set_grace_period(*vmi, *grace_period));
  NV_TRY(auto step, request_change(vm, Json::array({stop_request(*vmi)})));
  steps.push_back(std::move(step));
  return steps;
}

Result<Steps> plan_restart(const Json& vm, const Json* vmi, std::optional<std::int64_t> grace_period) {
  auto name = name_of(vm);
  if (grace_period && *grace_period > 0) return bad_request("a restart takes only gracePeriodSeconds 0, which forces it");
  if (grace_period && *grace_period < 0) return bad_request("gracePeriod has to be greater or equal to 0");
  NV_TRY(auto strategy, run_strategy(vm));
  if (strategy == "Halted" || strategy == "Once")
    return vm_conflict(name, fmt::format("RunStategy {} does not support manual restart requests", strategy));
  if (!vmi) return vm_conflict(name, "VM is not running: Halted");
  Steps steps;
  if (grace_period) steps.push_back(set_grace_period(*vmi, 1));  // the shortest that is still orderly
  NV_TRY(auto step, request_change(vm, Json::array({stop_request(*vmi), start_request(false)})));
  steps.push_back(std::move(step));
  return steps;
}

}  // namespace nodevirt::virt_api
