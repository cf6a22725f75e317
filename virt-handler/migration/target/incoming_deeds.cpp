// What the target's half of the handover wants, done: each deed tells the handover what became of it.
#include "api/fence.hpp"
#include "pkg/base/failpoint.hpp"
#include "pkg/base/log.hpp"
#include "virt-handler/migration/target/incoming_impl.hpp"
#include "virt-handler/node/fence.hpp"

namespace nodevirt::virt_handler::migration {

NV_DECLARE_FAILPOINT(kBeforeResume, "virt-handler.migration-before-resume");
NV_DECLARE_FAILPOINT(kAfterResume, "virt-handler.migration-after-resume");
NV_DECLARE_FAILPOINT(kBeforeTargetStore, "virt-handler.migration-before-target-store");
NV_DECLARE_FAILPOINT(kAfterTargetStore, "virt-handler.migration-after-target-store");

/// A guest that was to run here and is not to be found for so long is lost.
constexpr Clock::Duration kLostAfter = 20s;

Awaitable<void> Incoming::Impl::resume() {
  auto self = shared_from_this();
  StopToken token_ = stop.get_token();
  if (MigrationRpc rpc = rpc_of(find_launcher()())) {
    if (auto seconds = api::fence_seconds(object->meta.annotations)) {
      auto armed = co_await rpc.client->renew_fence(boottime_ms() + static_cast<std::uint64_t>(*seconds) * 1000);
      if (!armed.ok()) log::warning("{}/{}: arm the fence of the target: {}", ns, name, armed.error().message);
    }
    NV_FAILPOINT(kBeforeResume);
    launcher::v1::MigrationRequest ask = request();
    ask.set_keep_paused(keep_paused || paused_by_user(stored));
    auto resumed = co_await rpc->resume_target(ask);
    NV_FAILPOINT(kAfterResume);
    if (resumed.ok()) {
      log::info("{}/{}: migration {}: the guest runs here now", ns, name, id);
      if (std::shared_ptr<Launcher> launcher = find_launcher()()) launcher->domain = std::move(*resumed);
      handover.running();
    } else if (resumed.error().reason == "NotLoaded") {
      if (!not_loaded_since) not_loaded_since = deps.clock.now();
      if (deps.clock.now() - *not_loaded_since >= kLostAfter)
        lose(fmt::format("the guest is lost: it was not whole on node {} when node {} had let it go", deps.node, state.source_node));
    } else {
      log::warning("{}/{}: migration {}: {}", ns, name, id, resumed.error().message);
    }
  } else if (std::shared_ptr<Launcher> launcher = find_launcher()(); !launcher || launcher->pod_gone) {
    if (!not_loaded_since) not_loaded_since = deps.clock.now();
    if (deps.clock.now() - *not_loaded_since >= kLostAfter)
      lose(fmt::format("the guest is lost: its pod on node {} ended when node {} had let it go", deps.node, state.source_node));
  }
  if (handover.wants().resume) co_await deps.clock.sleep(20ms, token_);
  resuming = false;
  poke();
}

Awaitable<void> Incoming::Impl::abandon() {
  auto self = shared_from_this();
  StopToken token_ = stop.get_token();
  std::shared_ptr<Launcher> launcher = find_launcher()();
  bool done = !launcher || launcher->pod_gone || launcher->pod->ended();
  if (MigrationRpc rpc = rpc_of(launcher)) {
    launcher::v1::MigrationRequest ask = request();
    auto abandoned = co_await rpc->abandon_target(ask);
    done = abandoned.ok();
    if (!done) log::warning("{}/{}: migration {}: {}", ns, name, id, abandoned.error().message);
  }
  if (!done) co_await deps.clock.sleep(500ms, token_);
  if (done) {
    log::info("{}/{}: migration {}: the target is given up", ns, name, id);
    handover.abandoned();
  }
  abandoning = false;
  poke();
}

void Incoming::Impl::before_store() { NV_FAILPOINT(kBeforeTargetStore); }
void Incoming::Impl::after_store() { NV_FAILPOINT(kAfterTargetStore); }

}  // namespace nodevirt::virt_handler::migration
