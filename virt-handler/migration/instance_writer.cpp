#include "virt-handler/migration/instance_writer.hpp"

#include "pkg/k8s/status.hpp"

namespace nodevirt::virt_handler::migration {

Awaitable<Result<Written>> read_instance(client::Client client, std::string ns, std::string name, std::string uid) {
  auto stored = co_await client.get(k8s::resources::kVirtualMachineInstances, ns, name);
  Written out;
  if (!stored.ok() && !k8s::is_not_found(stored.error())) co_return stored.error();
  out.gone = !stored.ok() || string_at(*stored, {"metadata", "uid"}) != uid;
  if (!out.gone) out.vmi = std::move(*stored);
  co_return out;
}

Awaitable<Result<Written>> write_instance(client::Client client, Clock& clock, std::string ns, std::string name, std::string uid, MakePatch make,
                                          StopToken stop) {
  Clock::Duration pause = 5ms;
  for (;;) {
    auto now = co_await read_instance(client, ns, name, uid);
    if (!now.ok() || now->gone) co_return now;
    Json patch = make(now->vmi);
    if (patch.empty()) co_return now;
    auto patched = co_await client.patch(k8s::resources::kVirtualMachineInstances, ns, name, client::PatchType::Json, patch);
    if (patched.ok()) {
      Written out;
      out.vmi = std::move(*patched);
      co_return out;
    }
    if (!k8s::is_failed_test(patched.error()) && !k8s::is_conflict(patched.error()) && !k8s::is_not_found(patched.error())) co_return patched.error();
    if (!co_await clock.sleep(pause, stop)) co_return Error{Code::Cancelled, "stopped"};
    pause = std::min<Clock::Duration>(pause * 2, 500ms);
  }
}

}  // namespace nodevirt::virt_handler::migration
