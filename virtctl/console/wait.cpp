#include "virtctl/console/wait.hpp"

#include "pkg/base/clock.hpp"

namespace nodevirt::virtctl {

namespace {

constexpr auto kPoll = std::chrono::milliseconds(200);

// The condition that says why a start is held up, if one does.
std::string obstacle(const Json& vmi) {
  const Json* conditions = find(vmi, {"status", "conditions"});
  if (!conditions || !conditions->is_array()) return "";
  for (const Json& c : *conditions)
    if (string_at(c, {"status"}) == "False" &&
        (string_at(c, {"type"}) == "Synchronized" || string_at(c, {"type"}) == "PodScheduled"))
      return string_at(c, {"message"}, string_at(c, {"reason"}));
  return "";
}

bool to_run(const Json& vm) {
  std::string strategy = string_at(vm, {"spec", "runStrategy"});
  if (strategy.empty()) strategy = bool_at(vm, {"spec", "running"}) ? "Always" : "Halted";
  if (strategy == "Always" || strategy == "Once" || strategy == "RerunOnFailure") return true;
  const Json* requests = find(vm, {"status", "stateChangeRequests"});
  if (requests && requests->is_array())
    for (const Json& r : *requests)
      if (string_at(r, {"action"}) == "Start") return true;
  return false;
}

Result<std::optional<Json>> optional(Result<Json> r) {
  if (r.ok()) return std::optional<Json>(std::move(r).value());
  if (r.error().code == Code::NotFound) return std::optional<Json>();
  return std::move(r).error();
}

}  // namespace

Readiness console_readiness(const std::string& name, const std::optional<Json>& vm, const std::optional<Json>& vmi) {
  using State = Readiness::State;
  if (!vm && !vmi) return {State::Refused, fmt::format("there is no virtual machine or instance \"{}\"", name)};
  std::string phase = vmi ? string_at(*vmi, {"status", "phase"}) : "";
  bool ending = vmi && find(*vmi, {"metadata", "deletionTimestamp"});
  if (phase == "Running" && !ending) return {State::Running, ""};
  bool over = phase == "Succeeded" || phase == "Failed" || ending || !vmi;
  if (over && (!vm || !to_run(*vm)))
    return {State::Refused, !vm ? fmt::format("the instance \"{}\" has ended (phase {})", name, phase)
                                : fmt::format("\"{0}\" is stopped; start it with: virtctl start {0}", name)};
  std::string status = vm ? string_at(*vm, {"status", "printableStatus"}) : "";
  std::string text = fmt::format("Waiting for {} to run ({}", name, !status.empty() ? status : phase.empty() ? "Pending" : phase);
  if (std::string why = vmi ? obstacle(*vmi) : ""; !why.empty()) text += ": " + why.substr(0, 160);
  return {State::Waiting, text + ") ..."};
}

Awaitable<Result<void>> wait_until_running(Session& session, std::string name, std::chrono::seconds timeout) {
  Clock& clock = system_clock();
  auto deadline = clock.now() + timeout;
  Progress progress;
  for (;;) {
    Result<Json> vmi_answer = co_await session.client.get(k8s::resources::kVirtualMachineInstances, session.ns, name);
    NV_CO_TRY(std::optional<Json> vmi, optional(std::move(vmi_answer)));
    std::optional<Json> vm;
    if (!vmi || string_at(*vmi, {"status", "phase"}) != "Running") {
      Result<Json> vm_answer = co_await session.client.get(k8s::resources::kVirtualMachines, session.ns, name);
      NV_CO_TRY(vm, optional(std::move(vm_answer)));
    }
    Readiness ready = console_readiness(name, vm, vmi);
    if (ready.state == Readiness::State::Running) co_return Result<void>{};
    if (ready.state == Readiness::State::Refused) co_return Error(Code::FailedPrecondition, ready.text);
    if (clock.now() >= deadline)
      co_return Error(Code::DeadlineExceeded, fmt::format("{} does not run after {} s: {}", name, timeout.count(), ready.text));
    progress.show(ready.text);
    co_await clock.sleep(kPoll, {});
  }
}

}  // namespace nodevirt::virtctl
