// start, stop, restart, expand-spec: the writes that lifecycle_plan decides.
#include "pkg/base/log.hpp"
#include "pkg/k8s/status.hpp"
#include "virt-api/reply.hpp"
#include "virt-api/subresources/lifecycle_plan.hpp"
#include "virt-api/subresources/subresources.hpp"

namespace nodevirt::virt_api {

namespace {

using Steps = std::vector<LifecycleStep>;
using Planner = Result<Steps> (*)(const Json& vm, const Json* vmi, const Json& body);

Awaitable<Result<Json>> write_step(client::Client& client, const SubresourceRequest& request, LifecycleStep::Target target,
                                   Json patch, bool dry_run) {
  client::WriteOptions options;
  options.dry_run = dry_run;
  if (target == LifecycleStep::Target::VmStatus) options.subresource = "status";
  const auto& resource = target == LifecycleStep::Target::Vmi ? k8s::resources::kVirtualMachineInstances
                                                              : k8s::resources::kVirtualMachines;
  co_return co_await client.patch(resource, request.ns, request.name, client::PatchType::Json, std::move(patch), options);
}

Awaitable<Result<void>> write_all(client::Client& client, const SubresourceRequest& request, Steps steps, bool dry_run) {
  for (std::size_t i = 0; i < steps.size(); ++i) {
    auto written = co_await write_step(client, request, steps[i].target, steps[i].patch, dry_run);
    if (written.ok()) continue;
    auto error = written.error();
    for (std::size_t k = i; k-- > 0 && !dry_run;) {
      if (steps[k].undo.is_null()) continue;
      auto undone = co_await write_step(client, request, steps[k].target, steps[k].undo, false);
      if (!undone.ok()) log::warning("undo a change of {}/{}: {}", request.ns, request.name, undone.error().message);
    }
    if (k8s::is_failed_test(error) || k8s::is_conflict(error)) co_return vm_conflict(request.name, error.message);
    if (error.code == Code::NotFound) co_return vm_not_found(request.name);
    if (k8s::is_reason(error, "Forbidden") || k8s::is_reason(error, "Invalid")) co_return error;  // what admission said
    co_return internal_error(error.message);
  }
  co_return Result<void>{};
}

Awaitable<Result<void>> change_vm(SubresourceDeps& deps, SubresourceRequest& request, Planner plan) {
  NV_CO_TRY(auto body, decode_body(request.http.body));
  NV_CO_TRY(auto vm, co_await fetch_vm(deps.client, request.ns, request.name));
  auto found = co_await fetch_vmi(deps.client, request.ns, request.name);
  if (!found.ok() && found.error().code != Code::NotFound) co_return found.error();
  const Json* vmi = found.ok() ? &*found : nullptr;
  NV_CO_TRY(auto steps, plan(vm, vmi, body));
  auto user = std::string(request.http.headers.get("X-Remote-User"));
  log::info("{} {}/{}{}, asked by {}", request.verb, request.ns, request.name, wants_dry_run(body) ? " (dry run)" : "", user.empty() ? "unknown" : user);
  co_return co_await write_all(deps.client, request, std::move(steps), wants_dry_run(body));
}

Awaitable<void> answer(SubresourceRequest& request, Result<void> outcome) {
  if (outcome.ok()) co_await reply_empty(request.response, 202);
  else co_await reply_error(request.response, outcome.error());
}

/// An optional whole number of the body.
Result<std::optional<std::int64_t>> number_of(const Json& body, std::string_view name) {
  const Json* value = find(body, {name});
  if (!value || value->is_null()) return std::optional<std::int64_t>();
  if (!value->is_number_integer()) return bad_request(fmt::format("{} must be a whole number", name));
  return std::optional<std::int64_t>(value->get<std::int64_t>());
}

}  // namespace

Awaitable<void> start_vm(SubresourceDeps& deps, SubresourceRequest request) {
  auto plan = [](const Json& vm, const Json* vmi, const Json& body) {
    return plan_start(vm, vmi, bool_at(body, {"paused"}));
  };
  auto outcome = co_await change_vm(deps, request, plan);
  co_await answer(request, std::move(outcome));
}

Awaitable<void> stop_vm(SubresourceDeps& deps, SubresourceRequest request) {
  auto plan = [](const Json& vm, const Json* vmi, const Json& body) -> Result<Steps> {
    NV_TRY(auto grace, number_of(body, "gracePeriod"));
    return plan_stop(vm, vmi, grace);
  };
  auto outcome = co_await change_vm(deps, request, plan);
  co_await answer(request, std::move(outcome));
}

Awaitable<void> restart_vm(SubresourceDeps& deps, SubresourceRequest request) {
  auto plan = [](const Json& vm, const Json* vmi, const Json& body) -> Result<Steps> {
    NV_TRY(auto grace, number_of(body, "gracePeriodSeconds"));
    return plan_restart(vm, vmi, grace);
  };
  auto outcome = co_await change_vm(deps, request, plan);
  co_await answer(request, std::move(outcome));
}

Awaitable<void> expand_vm(SubresourceDeps& deps, SubresourceRequest request) {
  auto vm = co_await fetch_vm(deps.client, request.ns, request.name);
  if (vm.ok()) co_await reply_json(request.response, 200, std::move(*vm));
  else co_await reply_error(request.response, vm.error());
}

}  // namespace nodevirt::virt_api
