// The rpcs of live migration (api/proto/launcher.proto), on the same connection as the others.
#pragma once
#include "pkg/rpc/launcher_client.hpp"

namespace nodevirt::rpc {

/// What a launcher tells about one migration.
class MigrationWatch {
 public:
  /// Cancels.
  virtual ~MigrationWatch() = default;
  /// First how it stands now, then every change. At most one call at a time. Unavailable once the launcher is
  /// gone, Cancelled after cancel(); both are final.
  virtual Awaitable<Result<v1::MigrationEvent>> next() = 0;
  /// From any thread, any number of times.
  virtual void cancel() = 0;
};

/// Every call ends by its deadline, as LauncherClient's do. An error of release_source says nothing about the
/// guest: it is asked again until it answers.
class MigrationClient {
 public:
  virtual ~MigrationClient() = default;
  virtual Awaitable<Result<v1::PrepareTargetResponse>> prepare_target(v1::PrepareTargetRequest request) = 0;
  virtual Awaitable<Result<v1::DomainState>> resume_target(v1::MigrationRequest request) = 0;
  virtual Awaitable<Result<void>> abandon_target(v1::MigrationRequest request) = 0;
  virtual Awaitable<Result<void>> migrate(v1::MigrateRequest request) = 0;
  virtual Awaitable<Result<void>> steer(v1::SteerRequest request) = 0;
  virtual Awaitable<Result<void>> cancel(v1::MigrationRequest request) = 0;
  virtual Awaitable<Result<v1::ReleaseResponse>> release_source(v1::MigrationRequest request) = 0;
  virtual Awaitable<Result<v1::DirtyRate>> get_dirty_rate(v1::DirtyRateRequest request) = 0;
  virtual std::unique_ptr<MigrationWatch> watch_migration(v1::WatchMigrationRequest request) = 0;
};

}  // namespace nodevirt::rpc
