// virt-handler's side of api/proto/launcher.proto: one connection to the launcher of one pod.
// Messages are the generated ones (namespace nodevirt::launcher::v1); gRPC's own headers stay behind this one.
#pragma once
#include <chrono>
#include <filesystem>
#include <memory>
#include <string>
#include <sys/types.h>

#include "api/proto/launcher.pb.h"
#include "pkg/base/async.hpp"

namespace nodevirt::rpc {

class MigrationClient;  // pkg/rpc/migration_client.hpp

namespace v1 = nodevirt::launcher::v1;

/// The rpcs that take a DomainRequest and answer nothing.
enum class DomainCommand { Pause, Unpause, Shutdown, Kill, Delete, Reset, SoftReboot };
std::string_view to_string(DomainCommand command);

/// What a launcher tells about its domain.
class DomainWatch {
 public:
  /// Cancels.
  virtual ~DomainWatch() = default;
  /// The first event carries the state as it is; then every change. At most one call at a time.
  /// Unavailable once the launcher is gone, Cancelled after cancel(); both are final.
  virtual Awaitable<Result<v1::DomainEvent>> next() = 0;
  /// From any thread, any number of times.
  virtual void cancel() = 0;
};

/// Thread-safe; results arrive on the caller's executor. Every call ends by its deadline
/// (DeadlineExceeded) also when the launcher hangs, and may be abandoned only by waiting for it.
class LauncherClient {
 public:
  virtual ~LauncherClient() = default;
  virtual Awaitable<Result<v1::InfoResponse>> info() = 0;
  /// Up to 60 s: images are prepared and the guest is started.
  virtual Awaitable<Result<v1::DomainState>> sync(v1::SyncRequest request) = 0;
  virtual Awaitable<Result<void>> command(DomainCommand command, v1::DomainRequest request) = 0;
  virtual Awaitable<Result<v1::DomainState>> get_domain(v1::DomainRequest request) = 0;
  virtual Awaitable<Result<v1::DomainStats>> get_stats(v1::DomainRequest request) = 0;
  virtual Awaitable<Result<v1::Screenshot>> get_screenshot(v1::DomainRequest request) = 0;
  virtual Awaitable<Result<v1::GuestInfo>> get_guest_info(v1::DomainRequest request) = 0;
  virtual Awaitable<Result<void>> renew_fence(std::uint64_t deadline_boottime_ms) = 0;
  virtual Awaitable<Result<void>> ping() = 0;
  virtual std::unique_ptr<DomainWatch> watch() = 0;
  /// The rpcs of live migration; lives as long as this. Null: it has none (tests).
  virtual MigrationClient* migration() { return nullptr; }
};

/// A client of the launcher that listens at `socket` (of any length). Connects, negotiates the version and
/// answers Unavailable when nobody listens there (yet), FailedPrecondition when the versions do not meet.
Awaitable<Result<std::unique_ptr<LauncherClient>>> connect_launcher(std::filesystem::path socket,
                                                                    std::chrono::milliseconds timeout = 5s);

/// The process that listens at a unix socket of any length, in the caller's pid namespace (SO_PEERCRED).
/// Never blocks. NotFound without such a file, Unavailable when nobody listens.
Result<pid_t> peer_pid(const std::filesystem::path& socket);

}  // namespace nodevirt::rpc
