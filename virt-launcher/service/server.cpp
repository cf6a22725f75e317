#include "virt-launcher/service/server.hpp"

#include <grpcpp/grpcpp.h>
#include <grpcpp/resource_quota.h>

#include "api/names.hpp"
#include "api/proto/launcher.grpc.pb.h"
#include "pkg/base/log.hpp"
#include "pkg/rpc/socket_path.hpp"
#include "pkg/rpc/status.hpp"
#include "virt-launcher/migration/dirty_rate.hpp"

namespace nodevirt::virt_launcher {

namespace {

using grpc::ServerContext;
using grpc::Status;

Status answer(const Result<void>& r) { return r.ok() ? Status::OK : rpc::to_status(r.error()); }

class Service final : public v1::Launcher::Service {
 public:
  Service(Guest& guest, EventHub& hub) : guest_(guest), hub_(hub) {}

  Status Info(ServerContext*, const v1::InfoRequest* q, v1::InfoResponse* a) override {
    if (q->min_version() > 1 || (q->max_version() != 0 && q->max_version() < 1))
      return rpc::to_status({Code::FailedPrecondition, "VersionMismatch", "this launcher speaks version 1 only"});
    a->set_version(1);
    a->set_launcher_version(NODEVIRT_VERSION);
    auto [libvirt, qemu] = guest_.versions();
    a->set_libvirt_version(libvirt);
    a->set_qemu_version(qemu);
    return Status::OK;
  }
  Status SyncVirtualMachine(ServerContext*, const v1::SyncRequest* q, v1::SyncResponse* a) override {
    auto state = guest_.sync(*q);
    if (!state.ok()) {
      log::error("sync: {}", state.error().message);
      return rpc::to_status(state.error());
    }
    *a->mutable_state() = std::move(*state);
    return Status::OK;
  }
  Status PauseVirtualMachine(ServerContext*, const v1::DomainRequest* q, v1::Empty*) override {
    return on_target(*q, [&] { return guest_.pause(); });
  }
  Status UnpauseVirtualMachine(ServerContext*, const v1::DomainRequest* q, v1::Empty*) override {
    return on_target(*q, [&] { return guest_.unpause(); });
  }
  Status ShutdownVirtualMachine(ServerContext*, const v1::DomainRequest* q, v1::Empty*) override {
    return on_target(*q, [&] { return guest_.shut_down(); });
  }
  Status KillVirtualMachine(ServerContext*, const v1::DomainRequest* q, v1::Empty*) override {
    return on_target(*q, [&] { return guest_.kill(); });
  }
  Status DeleteVirtualMachine(ServerContext*, const v1::DomainRequest* q, v1::Empty*) override {
    return on_target(*q, [&] { return guest_.remove(); });
  }
  Status ResetVirtualMachine(ServerContext*, const v1::DomainRequest* q, v1::Empty*) override {
    return on_target(*q, [&] { return guest_.reset(); });
  }
  Status SoftRebootVirtualMachine(ServerContext*, const v1::DomainRequest* q, v1::Empty*) override {
    return on_target(*q, [&] { return guest_.soft_reboot(); });
  }
  Status GetDomain(ServerContext*, const v1::DomainRequest* q, v1::DomainState* a) override {
    return on_target(*q, [&]() -> Result<void> {
      *a = guest_.state(true);
      return {};
    });
  }
  Status GetDomainStats(ServerContext*, const v1::DomainRequest* q, v1::DomainStats* a) override {
    return on_target(*q, [&]() -> Result<void> {
      NV_TRY(*a, guest_.stats());
      return {};
    });
  }
  Status GetScreenshot(ServerContext*, const v1::DomainRequest* q, v1::Screenshot* a) override {
    return on_target(*q, [&]() -> Result<void> {
      NV_TRY(std::string picture, guest_.screenshot());
      a->set_ppm(std::move(picture));
      return {};
    });
  }
  Status GetGuestInfo(ServerContext*, const v1::DomainRequest* q, v1::GuestInfo* a) override {
    return on_target(*q, [&]() -> Result<void> {
      NV_TRY(*a, guest_.guest_info());
      return {};
    });
  }
  Status Watch(ServerContext* context, const v1::WatchRequest*, grpc::ServerWriter<v1::DomainEvent>* writer) override {
    v1::DomainEvent first;
    *first.mutable_state() = guest_.state(false);
    auto watcher = hub_.watch(std::move(first));
    // Whether the client is still there shows by asking once a second.
    while (!context->IsCancelled() && !stopping_) {
      auto event = watcher->next(std::chrono::seconds(1));
      if (!event) continue;
      if (!writer->Write(*event)) break;
      watcher->delivered();
    }
    return Status::OK;
  }
  Status RenewFence(ServerContext*, const v1::RenewFenceRequest* q, v1::Empty*) override {
    guest_.renew_fence(q->deadline_boottime_ms());
    return Status::OK;
  }
  Status PrepareMigrationTarget(ServerContext*, const v1::PrepareTargetRequest* q, v1::PrepareTargetResponse* a) override {
    auto prepared = guest_.migration().target.prepare(*q);
    if (!prepared.ok()) {
      log::error("prepare the target of a migration: {}", prepared.error().message);
      return rpc::to_status(prepared.error());
    }
    *a = std::move(*prepared);
    auto [libvirt, qemu] = guest_.versions();
    a->set_libvirt_version(libvirt);
    a->set_qemu_version(qemu);
    return Status::OK;
  }
  Status ResumeTarget(ServerContext*, const v1::MigrationRequest* q, v1::DomainState* a) override {
    return on_target(q->domain(), [&]() -> Result<void> {
      NV_TRY_VOID(guest_.migration().target.resume(q->migration_uid(), q->keep_paused()));
      *a = guest_.state(false);
      return {};
    });
  }
  Status AbandonTarget(ServerContext*, const v1::MigrationRequest* q, v1::Empty*) override {
    return on_target(q->domain(), [&] { return guest_.migration().target.abandon(q->migration_uid()); });
  }
  Status MigrateVirtualMachine(ServerContext*, const v1::MigrateRequest* q, v1::Empty*) override {
    return on_target(q->domain(), [&] {
      auto begun = guest_.migration().source.begin(*q);
      if (!begun.ok()) log::error("begin a migration: {}", begun.error().message);
      return begun;
    });
  }
  Status SteerMigration(ServerContext*, const v1::SteerRequest* q, v1::Empty*) override {
    return on_target(q->domain(), [&] { return guest_.migration().source.steer(*q); });
  }
  Status CancelMigration(ServerContext*, const v1::MigrationRequest* q, v1::Empty*) override {
    return on_target(q->domain(), [&] { return guest_.migration().source.cancel(q->migration_uid()); });
  }
  Status ReleaseSource(ServerContext*, const v1::MigrationRequest* q, v1::ReleaseResponse* a) override {
    return on_target(q->domain(), [&]() -> Result<void> {
      NV_TRY(*a, guest_.migration().source.release(q->migration_uid()));
      return {};
    });
  }
  Status GetDirtyRate(ServerContext*, const v1::DirtyRateRequest* q, v1::DirtyRate* a) override {
    return on_target(q->domain(), [&]() -> Result<void> {
      NV_TRY(*a, migration::measure_dirty_rate(guest_.migration().monitor, q->period_ms()));
      return {};
    });
  }
  Status WatchMigration(ServerContext* context, const v1::WatchMigrationRequest* q,
                        grpc::ServerWriter<v1::MigrationEvent>* writer) override {
    auto watcher = guest_.migration().events.watch(q->migration_uid());
    std::chrono::steady_clock::time_point sampled{};
    while (!context->IsCancelled() && !stopping_) {
      auto event = watcher->next(std::chrono::seconds(1));
      if (!event) continue;
      if (event->kind() == v1::MigrationEvent::SAMPLE && event->sample().elapsed_ms() != 0) {
        auto now = std::chrono::steady_clock::now();
        if (now - sampled < std::chrono::milliseconds(q->sample_interval_ms())) {
          watcher->delivered();
          continue;
        }
        sampled = now;
      }
      if (!writer->Write(*event)) break;
      watcher->delivered();
    }
    return Status::OK;
  }
  Status Ping(ServerContext*, const v1::Empty*, v1::Empty*) override { return Status::OK; }

  void stop() { stopping_ = true; }

 private:
  template <class F>
  Status on_target(const v1::DomainRequest& q, F action) {
    if (auto target = guest_.check_target(q.uid()); !target.ok()) return rpc::to_status(target.error());
    return answer(action());
  }

  Guest& guest_;
  EventHub& hub_;
  std::atomic<bool> stopping_ = false;
};

class GrpcServer final : public Server {
 public:
  GrpcServer(Guest& guest, EventHub& hub) : service_(guest, hub) {}
  ~GrpcServer() override {
    service_.stop();
    if (server_) server_->Shutdown(std::chrono::system_clock::now() + std::chrono::milliseconds(100));
  }

  Result<void> listen(const Paths& paths) {
    std::filesystem::path name = paths.sockets / api::kLauncherSocket;
    std::filesystem::path preliminary = paths.sockets / "launcher-init-sock";
    NV_TRY_VOID(make_dirs(paths.sockets));
    NV_TRY(rpc::SocketPath path, rpc::SocketPath::of(preliminary));
    // Few threads: a launcher has one client, whose one stream keeps one thread.
    grpc::ResourceQuota quota("launcher");
    quota.SetMaxThreads(12);
    grpc::ServerBuilder builder;
    using Option = grpc::ServerBuilder::SyncServerOption;
    builder.SetSyncServerOption(Option::NUM_CQS, 1)
        .SetSyncServerOption(Option::MIN_POLLERS, 1)
        .SetSyncServerOption(Option::MAX_POLLERS, 2)
        .SetResourceQuota(quota)
        .SetMaxReceiveMessageSize(8 << 20)
        .SetMaxSendMessageSize(80 << 20)
        .AddListeningPort("unix:" + path.path(), grpc::InsecureServerCredentials())
        .RegisterService(&service_);
    server_ = builder.BuildAndStart();
    if (!server_) return Error(Code::Unavailable, "listen at " + preliminary.string());
    if (::rename(preliminary.c_str(), name.c_str()) != 0) return errno_error(errno, "rename " + preliminary.string());
    return {};
  }

 private:
  Service service_;
  std::unique_ptr<grpc::Server> server_;
};

}  // namespace

Result<std::unique_ptr<Server>> Server::start(Guest& guest, EventHub& hub, const Paths& paths) {
  auto server = std::make_unique<GrpcServer>(guest, hub);
  NV_TRY_VOID(server->listen(paths));
  return std::unique_ptr<Server>(std::move(server));
}

}  // namespace nodevirt::virt_launcher
