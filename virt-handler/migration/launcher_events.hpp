// Follows what a pod's launcher tells of one migration, over its restarts.
#pragma once
#include <functional>

#include "pkg/rpc/migration_client.hpp"
#include "virt-handler/instances/launchers.hpp"

namespace nodevirt::virt_handler::migration {

using FindLauncher = std::function<std::shared_ptr<Launcher>()>;   ///< null: the pod is not here (any more)
/// `first` of a connection: how things stand.
using OnMigrationEvent = std::function<void(const launcher::v1::MigrationEvent&, bool first)>;

/// Returns when stopped.
Awaitable<void> follow_launcher(FindLauncher find, launcher::v1::WatchMigrationRequest request, Clock& clock, OnMigrationEvent told, StopToken stop);

/// The connection to the launcher, with its migration rpcs. Both null while there is none.
struct MigrationRpc {
  std::shared_ptr<rpc::LauncherClient> client;
  rpc::MigrationClient* operator->() const { return client->migration(); }
  explicit operator bool() const { return client && client->migration(); }
};
MigrationRpc rpc_of(const std::shared_ptr<Launcher>& launcher);
/// Waits for the connection; none when stopped, or when the pod is not there after `limit`.
Awaitable<MigrationRpc> wait_for_rpc(FindLauncher find, Clock& clock, Clock::Duration limit, StopToken stop);

}  // namespace nodevirt::virt_handler::migration
