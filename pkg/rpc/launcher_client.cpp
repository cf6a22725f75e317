#include "pkg/rpc/launcher_client.hpp"

#include <atomic>
#include <deque>
#include <mutex>
#include <thread>

#include <boost/asio/any_completion_handler.hpp>
#include <boost/asio/associated_executor.hpp>
#include <boost/asio/async_result.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/prefer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <grpcpp/grpcpp.h>

#include "api/proto/launcher.grpc.pb.h"
#include "pkg/base/way_back.hpp"
#include "pkg/rpc/migration_client.hpp"
#include "pkg/rpc/socket_path.hpp"
#include "pkg/rpc/status.hpp"

namespace nodevirt::rpc {

namespace asio = boost::asio;
using Stub = v1::Launcher::Stub;
using std::chrono::milliseconds;

std::string_view to_string(DomainCommand command) {
  static constexpr std::string_view names[] = {"pause", "unpause", "shutdown", "kill", "delete", "reset", "soft reboot"};
  return names[static_cast<int>(command)];
}

namespace {

// A completion that gRPC's thread fires and the coroutine's executor runs. Once it is posted, gRPC's thread
// touches nothing of it any more. Of a coroutine whose io_context is gone nothing is touched at all.
class Resume {
 public:
  template <class Handler>
  Resume(Handler handler, std::shared_ptr<WayBack> way) : pending_(std::make_unique<Pending<Handler>>(std::move(handler))), way_(std::move(way)) {}
  void operator()() {
    auto p = std::exchange(pending_, nullptr);
    if (!p) return;
    auto* raw = p.get();
    auto fire = [&] { raw->fire(std::move(p)); };
    if (!way_->come(fire)) [[maybe_unused]] auto* left = p.release();
  }

 private:
  struct Base {
    virtual ~Base() = default;
    virtual void fire(std::unique_ptr<Base> self) = 0;
  };
  template <class Handler>
  struct Pending final : Base {
    using Tracked = decltype(asio::prefer(std::declval<asio::associated_executor_t<Handler>>(),
                                          asio::execution::outstanding_work.tracked));
    explicit Pending(Handler h)
        : work(asio::prefer(asio::get_associated_executor(h), asio::execution::outstanding_work.tracked)),
          handler(std::move(h)) {}
    void fire(std::unique_ptr<Base> self) override {
      auto executor = asio::get_associated_executor(handler);
      asio::post(executor, [self = std::move(self)]() mutable {
        Handler h = std::move(static_cast<Pending*>(self.get())->handler);
        self.reset();
        h();
      });
    }
    Tracked work;
    Handler handler;
  };
  std::unique_ptr<Base> pending_;
  std::shared_ptr<WayBack> way_;
};

template <class Start>
Awaitable<void> suspend(Start start) {
  auto way = WayBack::of(co_await asio::this_coro::executor);
  auto initiate = [start, way](auto handler) mutable { start(std::make_shared<Resume>(std::move(handler), way)); };
  co_await asio::async_initiate<const asio::use_awaitable_t<>, void()>(std::move(initiate), asio::use_awaitable);
}

template <class Request, class Response>
struct Call {
  grpc::ClientContext context;
  Request request;
  Response response;
  grpc::Status status;
};

using Clock = std::chrono::system_clock;

/// The reading side of one of the launcher's streams.
template <class Request, class Event>
class WatchReactor final : public grpc::ClientReadReactor<Event> {
  using grpc::ClientReadReactor<Event>::StartRead;
  using grpc::ClientReadReactor<Event>::StartCall;

 public:
  explicit WatchReactor(Request request) : request_(std::move(request)) {}
  template <class Begin>
  void start(std::shared_ptr<WatchReactor> self, Begin begin) {
    self_ = std::move(self);
    begin(&context_, &request_, this);
    StartRead(&event_);
    StartCall();
  }
  void cancel() {
    cancelled_ = true;
    context_.TryCancel();
  }
  void OnReadDone(bool ok) override {
    if (!ok) return;
    std::shared_ptr<Resume> wake;
    {
      std::lock_guard lock(mutex_);
      queue_.push_back(std::move(event_));
      wake = std::exchange(waiting_, nullptr);
      if (queue_.size() >= kMaxQueue) paused_ = true;
    }
    event_ = {};
    if (wake) (*wake)();
    if (!paused_) StartRead(&event_);
  }
  void OnDone(const grpc::Status& status) override {
    std::shared_ptr<Resume> wake;
    {
      std::lock_guard lock(mutex_);
      end_ = cancelled_ ? Error(Code::Cancelled, "watch: cancelled")
             : status.ok() ? Error(Code::Unavailable, "watch: the launcher ended the stream")
                           : from_status(status, "watch");
      wake = std::exchange(waiting_, nullptr);
    }
    if (wake) (*wake)();
    // The context holds the channel, and the last channel joins gRPC's threads when it goes: never on one of them.
    std::thread([keep = std::move(self_)] {}).detach();
  }
  /// True when there is something to take; else `resume` fires once there is.
  bool ready_or_wait(std::shared_ptr<Resume> resume) {
    std::lock_guard lock(mutex_);
    if (!queue_.empty() || end_) return true;
    waiting_ = std::move(resume);
    return false;
  }
  std::optional<Result<Event>> take() {
    std::unique_lock lock(mutex_);
    if (!queue_.empty()) {
      Result<Event> out(std::move(queue_.front()));
      queue_.pop_front();
      bool read_on = std::exchange(paused_, false);
      lock.unlock();
      if (read_on) StartRead(&event_);
      return out;
    }
    if (end_) return Result<Event>(*end_);
    return std::nullopt;
  }

 private:
  static constexpr std::size_t kMaxQueue = 256;
  grpc::ClientContext context_;
  Request request_;
  Event event_;
  std::shared_ptr<WatchReactor> self_;
  std::mutex mutex_;
  std::deque<Event> queue_;
  std::optional<Error> end_;
  std::shared_ptr<Resume> waiting_;
  bool paused_ = false;
  std::atomic<bool> cancelled_ = false;
};

template <class Request, class Event, class Interface>
class GrpcWatch final : public Interface {
 public:
  using Reactor = WatchReactor<Request, Event>;
  template <class Begin>
  GrpcWatch(Request request, Begin begin) : reactor_(std::make_shared<Reactor>(std::move(request))) { reactor_->start(reactor_, begin); }
  ~GrpcWatch() override { reactor_->cancel(); }
  void cancel() override { reactor_->cancel(); }
  Awaitable<Result<Event>> next() override {
    auto reactor = reactor_;
    for (;;) {
      if (auto out = reactor->take()) co_return *std::move(out);
      auto start = [reactor](std::shared_ptr<Resume> resume) {
        if (reactor->ready_or_wait(resume)) (*resume)();
      };
      co_await suspend(start);
    }
  }

 private:
  std::shared_ptr<Reactor> reactor_;
};

class GrpcLauncherClient final : public LauncherClient, public MigrationClient {
 public:
  GrpcLauncherClient(SocketPath path, std::shared_ptr<grpc::Channel> channel)
      : path_(std::move(path)), stub_(v1::Launcher::NewStub(channel)) {}

  Awaitable<Result<v1::InfoResponse>> info() override {
    v1::InfoRequest r;
    r.set_min_version(1);
    r.set_max_version(1);
    return unary<v1::InfoRequest, v1::InfoResponse>(
        "info", 5s, std::move(r), [](auto* a, auto&&... x) { a->Info(x...); });
  }
  Awaitable<Result<v1::DomainState>> sync(v1::SyncRequest request) override {
    auto answer = co_await unary<v1::SyncRequest, v1::SyncResponse>(
        "", 60s, std::move(request), [](auto* a, auto&&... x) { a->SyncVirtualMachine(x...); });
    if (!answer.ok()) co_return std::move(answer).error();
    co_return std::move(*answer->mutable_state());
  }
  Awaitable<Result<void>> command(DomainCommand command, v1::DomainRequest request) override {
    std::string doing(to_string(command));
    Start<v1::DomainRequest, v1::Empty> start;
    switch (command) {
      case DomainCommand::Pause: start = [](auto* a, auto... x) { a->PauseVirtualMachine(x...); }; break;
      case DomainCommand::Unpause: start = [](auto* a, auto... x) { a->UnpauseVirtualMachine(x...); }; break;
      case DomainCommand::Shutdown: start = [](auto* a, auto... x) { a->ShutdownVirtualMachine(x...); }; break;
      case DomainCommand::Kill: start = [](auto* a, auto... x) { a->KillVirtualMachine(x...); }; break;
      case DomainCommand::Delete: start = [](auto* a, auto... x) { a->DeleteVirtualMachine(x...); }; break;
      case DomainCommand::Reset: start = [](auto* a, auto... x) { a->ResetVirtualMachine(x...); }; break;
      case DomainCommand::SoftReboot: start = [](auto* a, auto... x) { a->SoftRebootVirtualMachine(x...); }; break;
    }
    auto answer = co_await unary<v1::DomainRequest, v1::Empty>(doing, 20s, std::move(request), std::move(start));
    if (!answer.ok()) co_return std::move(answer).error();
    co_return Result<void>();
  }
  Awaitable<Result<v1::DomainState>> get_domain(v1::DomainRequest request) override {
    return unary<v1::DomainRequest, v1::DomainState>("get domain", 10s, std::move(request),
                                                     [](auto* a, auto... x) { a->GetDomain(x...); });
  }
  Awaitable<Result<v1::DomainStats>> get_stats(v1::DomainRequest request) override {
    return unary<v1::DomainRequest, v1::DomainStats>("get statistics", 10s, std::move(request),
                                                     [](auto* a, auto... x) { a->GetDomainStats(x...); });
  }
  Awaitable<Result<v1::Screenshot>> get_screenshot(v1::DomainRequest request) override {
    return unary<v1::DomainRequest, v1::Screenshot>("get screenshot", 20s, std::move(request),
                                                    [](auto* a, auto... x) { a->GetScreenshot(x...); });
  }
  Awaitable<Result<v1::GuestInfo>> get_guest_info(v1::DomainRequest request) override {
    return unary<v1::DomainRequest, v1::GuestInfo>("get guest information", 20s, std::move(request),
                                                   [](auto* a, auto... x) { a->GetGuestInfo(x...); });
  }
  Awaitable<Result<void>> renew_fence(std::uint64_t deadline) override {
    v1::RenewFenceRequest r;
    r.set_deadline_boottime_ms(deadline);
    auto answer = co_await unary<v1::RenewFenceRequest, v1::Empty>(
        "renew fence", 5s, std::move(r), [](auto* a, auto... x) { a->RenewFence(x...); });
    if (!answer.ok()) co_return std::move(answer).error();
    co_return Result<void>();
  }
  Awaitable<Result<void>> ping() override {
    auto answer = co_await unary<v1::Empty, v1::Empty>("ping", 5s, v1::Empty(),
                                                       [](auto* a, auto... x) { a->Ping(x...); });
    if (!answer.ok()) co_return std::move(answer).error();
    co_return Result<void>();
  }
  std::unique_ptr<DomainWatch> watch() override {
    auto begin = [this](auto... x) { stub_->async()->Watch(x...); };
    return std::make_unique<GrpcWatch<v1::WatchRequest, v1::DomainEvent, DomainWatch>>(v1::WatchRequest(), begin);
  }

  MigrationClient* migration() override { return this; }
  Awaitable<Result<v1::PrepareTargetResponse>> prepare_target(v1::PrepareTargetRequest request) override {
    return unary<v1::PrepareTargetRequest, v1::PrepareTargetResponse>("prepare the migration's target", 60s, std::move(request),
                                                                      [](auto* a, auto... x) { a->PrepareMigrationTarget(x...); });
  }
  Awaitable<Result<v1::DomainState>> resume_target(v1::MigrationRequest request) override {
    return unary<v1::MigrationRequest, v1::DomainState>("resume at the target", 20s, std::move(request),
                                                        [](auto* a, auto... x) { a->ResumeTarget(x...); });
  }
  Awaitable<Result<void>> abandon_target(v1::MigrationRequest request) override {
    return nothing<v1::MigrationRequest>("abandon the target", 30s, std::move(request), [](auto* a, auto... x) { a->AbandonTarget(x...); });
  }
  Awaitable<Result<void>> migrate(v1::MigrateRequest request) override {
    return nothing<v1::MigrateRequest>("begin the migration", 20s, std::move(request),
                                       [](auto* a, auto... x) { a->MigrateVirtualMachine(x...); });
  }
  Awaitable<Result<void>> steer(v1::SteerRequest request) override {
    return nothing<v1::SteerRequest>("steer the migration", 10s, std::move(request), [](auto* a, auto... x) { a->SteerMigration(x...); });
  }
  Awaitable<Result<void>> cancel(v1::MigrationRequest request) override {
    return nothing<v1::MigrationRequest>("cancel the migration", 30s, std::move(request), [](auto* a, auto... x) { a->CancelMigration(x...); });
  }
  Awaitable<Result<v1::ReleaseResponse>> release_source(v1::MigrationRequest request) override {
    return unary<v1::MigrationRequest, v1::ReleaseResponse>("release the source", 30s, std::move(request),
                                                            [](auto* a, auto... x) { a->ReleaseSource(x...); });
  }
  Awaitable<Result<v1::DirtyRate>> get_dirty_rate(v1::DirtyRateRequest request) override {
    return unary<v1::DirtyRateRequest, v1::DirtyRate>("get the dirty rate", milliseconds(request.period_ms()) + 10s, std::move(request),
                                                      [](auto* a, auto... x) { a->GetDirtyRate(x...); });
  }
  std::unique_ptr<MigrationWatch> watch_migration(v1::WatchMigrationRequest request) override {
    auto begin = [this](auto... x) { stub_->async()->WatchMigration(x...); };
    return std::make_unique<GrpcWatch<v1::WatchMigrationRequest, v1::MigrationEvent, MigrationWatch>>(std::move(request), begin);
  }

 private:
  using Async = v1::Launcher::StubInterface::async_interface;
  template <class Request, class Response>
  using Start = std::function<void(Async*, grpc::ClientContext*, const Request*, Response*, std::function<void(grpc::Status)>)>;

  template <class Request, class Response>
  Awaitable<Result<Response>> unary(std::string doing, milliseconds timeout, Request request, Start<Request, Response> start) {
    auto call = std::make_shared<Call<Request, Response>>();
    call->request = std::move(request);
    call->context.set_deadline(Clock::now() + timeout);
    Async* async = stub_->async();
    auto begin = [call, async, start](std::shared_ptr<Resume> resume) {
      // Not an owner: the coroutine's frame is, and the context must not go on gRPC's thread (see OnDone).
      auto* raw = call.get();
      std::function<void(grpc::Status)> done = [raw, resume](grpc::Status s) {
        raw->status = std::move(s);
        (*resume)();
      };
      start(async, &call->context, &call->request, &call->response, std::move(done));
    };
    co_await suspend(begin);
    if (!call->status.ok()) co_return from_status(call->status, doing);
    co_return std::move(call->response);
  }

  template <class Request>
  Awaitable<Result<void>> nothing(std::string doing, milliseconds timeout, Request request, Start<Request, v1::Empty> start) {
    auto answer = co_await unary<Request, v1::Empty>(std::move(doing), timeout, std::move(request), std::move(start));
    if (!answer.ok()) co_return std::move(answer).error();
    co_return Result<void>();
  }

  SocketPath path_;  // the folder's descriptor must live as long as the channel may reconnect
  std::unique_ptr<Stub> stub_;
};

}  // namespace

Awaitable<Result<std::unique_ptr<LauncherClient>>> connect_launcher(std::filesystem::path socket, milliseconds) {
  auto pid = peer_pid(socket);  // a plain answer at once when nobody listens
  if (!pid.ok()) co_return std::move(pid).error();
  auto name = SocketPath::of(socket);
  if (!name.ok()) co_return std::move(name).error();
  grpc::ChannelArguments args;
  // Two pods must never share a connection because a descriptor's number came back.
  args.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  args.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
  args.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, 50);
  args.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, 50);
  args.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, 1000);
  args.SetInt(GRPC_ARG_MAX_RECEIVE_MESSAGE_LENGTH, 80 << 20);
  args.SetString(GRPC_ARG_DEFAULT_AUTHORITY, "localhost");
  auto channel = grpc::CreateCustomChannel("unix:" + name->path(), grpc::InsecureChannelCredentials(), args);
  std::unique_ptr<LauncherClient> client = std::make_unique<GrpcLauncherClient>(std::move(*name), std::move(channel));
  auto info = co_await client->info();
  if (!info.ok()) co_return std::move(info).error();
  if (info->version() != 1)
    co_return Error(Code::FailedPrecondition, fmt::format("the launcher speaks version {}, this program version 1", info->version()));
  co_return client;
}

}  // namespace nodevirt::rpc
