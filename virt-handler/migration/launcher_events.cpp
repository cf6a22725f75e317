#include "virt-handler/migration/launcher_events.hpp"

#include "pkg/base/log.hpp"

namespace nodevirt::virt_handler::migration {

MigrationRpc rpc_of(const std::shared_ptr<Launcher>& launcher) {
  if (!launcher || launcher->pod_gone || !launcher->connected) return {};
  return {launcher->client};
}

Awaitable<MigrationRpc> wait_for_rpc(FindLauncher find, Clock& clock, Clock::Duration limit, StopToken stop) {
  Clock::Time until = clock.now() + limit;
  for (;;) {
    MigrationRpc rpc = rpc_of(find());
    if (rpc || clock.now() >= until || stop.stop_requested()) co_return rpc;
    if (!co_await clock.sleep(20ms, stop)) co_return MigrationRpc{};
  }
}

Awaitable<void> follow_launcher(FindLauncher find, launcher::v1::WatchMigrationRequest request, Clock& clock, OnMigrationEvent told, StopToken stop) {
  Clock::Duration pause = 20ms;
  while (!stop.stop_requested()) {
    MigrationRpc rpc = rpc_of(find());
    if (rpc) {
      auto watch = std::shared_ptr<rpc::MigrationWatch>(rpc->watch_migration(request));
      auto cancel = [watch] { watch->cancel(); };
      std::stop_callback on_stop(stop, cancel);
      for (bool first = true;; first = false) {
        auto event = co_await watch->next();
        if (stop.stop_requested()) co_return;
        if (!event.ok()) {
          log::debug("migration {}: {}", request.migration_uid(), event.error().message);
          break;
        }
        pause = 20ms;
        told(*event, first);
      }
    }
    if (!co_await clock.sleep(pause, stop)) co_return;
    pause = std::min<Clock::Duration>(pause * 2, 1s);
  }
}

}  // namespace nodevirt::virt_handler::migration
