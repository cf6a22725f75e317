// What is written of a migration: its status and its progress.
#include "pkg/base/failpoint.hpp"
#include "pkg/base/log.hpp"
#include "pkg/k8s/status.hpp"
#include "virt-controller/migration/controller_impl.hpp"
#include "virt-controller/migration/progress.hpp"
#include "virt-controller/migration/status.hpp"
#include "virt-controller/migration/target_pod.hpp"
#include "virt-controller/status_patch.hpp"

namespace nodevirt::virt_controller::migration {

using client::PatchType;
using k8s::resources::kVirtualMachineInstanceMigrations;

NV_DECLARE_FAILPOINT(kBeforeStatus, "virt-controller.migration-before-status");
NV_DECLARE_FAILPOINT(kAfterStatus, "virt-controller.migration-after-status");

Awaitable<Result<void>> MigrationController::Impl::write_progress(Round* r, Json migration) {
  ProgressInput in{migration, r->instance ? &*r->instance : nullptr, r->seen, string_at(migration, {"status", "phase"}), r->waits};
  Json patch = progress_patch(in);
  if (patch.is_null()) co_return Result<void>();
  auto written = co_await ctx.client.patch(kVirtualMachineInstanceMigrations, r->ns, r->name, PatchType::Merge, patch);
  if (!written.ok() && !k8s::is_not_found(written.error())) co_return written.error().with_context("write progress of migration " + r->key);
  if (written.ok()) r->object["metadata"] = (*written)["metadata"];
  co_return Result<void>();
}

Awaitable<Result<void>> MigrationController::Impl::write_status(Round* r) {
  StatusInput in{.object = r->object, .instance = r->instance ? &*r->instance : nullptr, .seen = r->seen, .plan = r->plan, .done = r->done};
  if (r->seen.target || r->seen.target_pending) in.target_pod = target_pod_name(r->cached->vmi_name, r->uid);
  in.quota = r->quota;
  in.now = ctx.clock.wall();
  StatusOutcome out = compute_status(in);
  Json patch = status_patch(r->object, out.status);
  if (patch.empty()) co_return Result<void>();
  if (std::string next = string_at(out.status, {"phase"}); next != r->seen.phase && (next == "Succeeded" || next == "Failed")) {
    // How it ended, before that it has: whoever watches sees no end with words from the middle.
    Json ended = r->object;
    ended["status"] = out.status;
    auto told = co_await write_progress(r, std::move(ended));
    if (!told.ok()) co_return told.error();
  }
  NV_FAILPOINT(kBeforeStatus);
  client::WriteOptions options;
  options.subresource = "status";
  auto written = co_await ctx.client.patch(kVirtualMachineInstanceMigrations, r->ns, r->name, PatchType::Json, patch, options);
  if (!written.ok()) co_return written.error().with_context("write status of migration " + r->key);
  NV_FAILPOINT(kAfterStatus);
  if (std::string now = string_at(out.status, {"phase"}); now != r->seen.phase) log::info("migration {} is {}", r->key, now);
  for (auto& e : out.events) tell(*r, e.type.c_str(), e.reason.c_str(), e.message);
  r->object = std::move(*written);
  co_return Result<void>();
}

}  // namespace nodevirt::virt_controller::migration
