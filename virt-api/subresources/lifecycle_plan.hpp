// What start, stop and restart of a VirtualMachine write, decided without I/O. The rules are KubeVirt's
// (table in docs/reference, section 2.1): which run strategy takes which action, in which form.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "pkg/base/json.hpp"

namespace nodevirt::virt_api {

/// A JSON patch and what it is for. Each carries a `test` of what it was decided on.
struct LifecycleStep {
  enum class Target { Vm, VmStatus, Vmi };
  Target target;
  Json patch;
  /// Undoes the step when a later one fails; null when there is nothing to undo.
  Json undo;
};

/// `vmi` is null when there is none. Errors are Conflict (409), BadRequest or Internal, as KubeVirt words them.
Result<std::vector<LifecycleStep>> plan_start(const Json& vm, const Json* vmi, bool paused);
Result<std::vector<LifecycleStep>> plan_stop(const Json& vm, const Json* vmi, std::optional<std::int64_t> grace_period);
Result<std::vector<LifecycleStep>> plan_restart(const Json& vm, const Json* vmi, std::optional<std::int64_t> grace_period);

/// spec.runStrategy, or what spec.running stands for; an error when neither or both are there.
Result<std::string> run_strategy(const Json& vm);

}  // namespace nodevirt::virt_api
