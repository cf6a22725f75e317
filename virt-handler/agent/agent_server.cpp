#include "virt-handler/agent/agent_server.hpp"

#include <deque>
#include <mutex>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/redirect_error.hpp>
#include <fmt/format.h>
#include <grpcpp/grpcpp.h>
#include <grpcpp/server_posix.h>

#include "api/proto/node_agent.grpc.pb.h"
#include "pkg/base/file.hpp"
#include "pkg/base/log.hpp"
#include "virt-handler/agent/drain.hpp"

namespace nodevirt::virt_handler {
namespace {

namespace asio = boost::asio;

constexpr std::size_t kMaxQueued = 1024;

std::uint64_t unix_ms(Clock& clock) {
  return static_cast<std::uint64_t>(std::chrono::duration_cast<std::chrono::milliseconds>(clock.wall().time_since_epoch()).count());
}

/// Messages for one client of a stream, written one after the other. From any thread.
template <class T>
class Outbox : public grpc::ServerWriteReactor<T> {
 public:
  explicit Outbox(Executor executor) : executor_(std::move(executor)) {}
  void push(T message) {
    std::lock_guard lock(mutex_);
    if (finished_) return;
    if (queue_.size() >= kMaxQueued) {
      finish_locked(grpc::Status(grpc::StatusCode::RESOURCE_EXHAUSTED, "too slow: start again"));
      return;
    }
    queue_.push_back(std::move(message));
    write_next();
  }
  /// After everything that was pushed.
  void end(grpc::Status status) {
    std::lock_guard lock(mutex_);
    if (finished_ || ending_) return;
    ending_ = std::move(status);
    write_next();
  }
  StopToken cancelled() const { return stop_.get_token(); }
  void hold(std::shared_ptr<Outbox> self) { self_ = std::move(self); }

  void OnWriteDone(bool ok) override {
    std::lock_guard lock(mutex_);
    writing_ = false;
    queue_.pop_front();
    if (!ok) finish_locked(grpc::Status::CANCELLED);
    else write_next();
  }
  void OnCancel() override {
    {
      std::lock_guard lock(mutex_);
      if (!writing_) finish_locked(grpc::Status::CANCELLED);
      else ending_ = grpc::Status::CANCELLED, drop_ = true;
    }
    request_stop();
  }
  void OnDone() override {
    request_stop();
    std::shared_ptr<Outbox> last = std::move(self_);
  }

 private:
  /// Stops are requested on the program's executor, never on gRPC's threads.
  void request_stop() {
    StopSource stop = stop_;
    auto request = [stop]() mutable { stop.request_stop(); };
    asio::post(executor_, request);
  }
  void write_next() {
    if (writing_ || finished_) return;
    if (drop_) queue_.clear();
    if (!queue_.empty()) {
      writing_ = true;
      this->StartWrite(&queue_.front());
    } else if (ending_) {
      finish_locked(*ending_);
    }
  }
  void finish_locked(const grpc::Status& status) {
    if (finished_) return;
    finished_ = true;
    this->Finish(status);
  }

  Executor executor_;
  std::mutex mutex_;
  std::deque<T> queue_;
  std::optional<grpc::Status> ending_;
  bool writing_ = false, finished_ = false, drop_ = false;
  StopSource stop_;
  std::shared_ptr<Outbox> self_;
};

struct Follower {
  std::shared_ptr<Outbox<agent_v1::Event>> outbox;
  std::string uid;
};

}  // namespace

struct AgentServer::Impl : agent_v1::NodeAgent::CallbackService, std::enable_shared_from_this<AgentServer::Impl> {
  explicit Impl(Deps d) : deps(std::move(d)), acceptor(deps.executor) {}

  Deps deps;
  asio::local::stream_protocol::acceptor acceptor;
  std::unique_ptr<grpc::Server> server;
  std::vector<Follower> followers;   ///< on the executor

  /// Answers a unary call from the program's executor.
  template <class Response>
  grpc::ServerUnaryReactor* answer(grpc::CallbackServerContext* context, Response* response,
                                   std::function<Awaitable<Response>()> make) {
    grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
    spawn(deps.executor, answer_with(reactor, response, std::move(make)), "agent call");
    return reactor;
  }
  template <class Response>
  static Awaitable<void> answer_with(grpc::ServerUnaryReactor* reactor, Response* response, std::function<Awaitable<Response>()> make) {
    Response made = co_await make();
    *response = std::move(made);
    reactor->Finish(grpc::Status::OK);
  }

  Awaitable<agent_v1::InfoResponse> info() {
    agent_v1::InfoResponse out;
    out.set_min_version(1);
    out.set_max_version(1);
    out.set_node(deps.view.node());
    out.set_accelerator(deps.accelerator());
    co_return out;
  }
  Awaitable<agent_v1::ListResponse> list() { co_return deps.view.list(); }

  grpc::ServerUnaryReactor* Info(grpc::CallbackServerContext* context, const agent_v1::InfoRequest*, agent_v1::InfoResponse* response) override {
    std::function<Awaitable<agent_v1::InfoResponse>()> make = [this] { return info(); };
    return answer(context, response, make);
  }
  grpc::ServerUnaryReactor* List(grpc::CallbackServerContext* context, const agent_v1::ListRequest*, agent_v1::ListResponse* response) override {
    std::function<Awaitable<agent_v1::ListResponse>()> make = [this] { return list(); };
    return answer(context, response, make);
  }
  grpc::ServerUnaryReactor* Statistics(grpc::CallbackServerContext* context, const agent_v1::StatisticsRequest* request,
                                       agent_v1::StatisticsResponse* response) override {
    std::string uid = request->uid();
    std::function<Awaitable<agent_v1::StatisticsResponse>()> make = [this, uid] { return deps.view.statistics(uid); };
    return answer(context, response, make);
  }
  grpc::ServerWriteReactor<agent_v1::Event>* Events(grpc::CallbackServerContext*, const agent_v1::EventsRequest* request) override {
    auto outbox = std::make_shared<Outbox<agent_v1::Event>>(deps.executor);
    outbox->hold(outbox);
    Follower follower{outbox, request->uid()};
    auto begin = [this, follower] { follow(follower); };
    asio::post(deps.executor, begin);
    return outbox.get();
  }
  grpc::ServerWriteReactor<agent_v1::DrainProgress>* Drain(grpc::CallbackServerContext*, const agent_v1::DrainRequest* request) override {
    auto outbox = std::make_shared<Outbox<agent_v1::DrainProgress>>(deps.executor);
    outbox->hold(outbox);
    spawn(deps.executor, drain(outbox, request->timeout_seconds()), "drain");
    return outbox.get();
  }

  void follow(const Follower& follower) {
    for (const auto& launcher : deps.view.launchers().all())
      if (!launcher->pod_gone) tell(follower, agent_v1::Event::CURRENT, *launcher, "", "");
    followers.push_back(follower);
  }
  void tell(const Follower& follower, agent_v1::Event::Kind kind, const Launcher& launcher, const std::string& lifecycle, const std::string& message) {
    if (!follower.uid.empty() && follower.uid != launcher.pod->instance_uid) return;
    agent_v1::Event event;
    event.set_kind(kind);
    *event.mutable_instance() = deps.view.instance(launcher);
    event.set_lifecycle(lifecycle);
    event.set_message(message);
    event.set_at_unix_ms(unix_ms(deps.clock));
    follower.outbox->push(std::move(event));
  }
  Awaitable<void> drain(std::shared_ptr<Outbox<agent_v1::DrainProgress>> outbox, std::int64_t timeout_seconds) {
    deps.set_drained(true);
    DrainOptions options{.client = deps.client, .clock = deps.clock, .view = deps.view, .timeout = std::chrono::seconds(std::clamp<std::int64_t>(timeout_seconds, 0, 86400))};
    options.progress = [outbox](agent_v1::DrainProgress progress) { outbox->push(std::move(progress)); };
    StopToken stop = outbox->cancelled();
    auto drained = co_await drain_node(std::move(options), stop);
    grpc::Status status = grpc::Status::OK;
    if (!drained.ok()) status = grpc::Status(static_cast<grpc::StatusCode>(drained.error().code), drained.error().message);
    outbox->end(status);
  }

  bool allowed(int fd) const {
    ucred peer{};
    socklen_t size = sizeof peer;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0) return false;
    return peer.uid == 0 || peer.uid == geteuid();
  }
  Awaitable<void> accept_loop() {
    for (;;) {
      boost::system::error_code error;
      auto token = asio::redirect_error(asio::use_awaitable, error);
      asio::local::stream_protocol::socket socket(deps.executor);
      co_await acceptor.async_accept(socket, token);
      if (error == asio::error::operation_aborted || !acceptor.is_open()) co_return;
      if (error) continue;
      if (!allowed(socket.native_handle())) {
        log::warning("agent socket: a user other than root was sent away");
        continue;
      }
      socket.native_non_blocking(true);
      grpc::AddInsecureChannelFromFd(server.get(), socket.release());
    }
  }
};

AgentServer::AgentServer(Deps deps) : impl_(std::make_shared<Impl>(std::move(deps))) {}

AgentServer::~AgentServer() = default;

Result<void> AgentServer::listen(const std::string& path) {
  std::filesystem::path file(path);
  NV_TRY_VOID(make_dirs(file.parent_path(), 0755));
  if (path.size() >= 100)
    return Error{Code::InvalidArgument, fmt::format("the agent socket's path {} is too long: at most 99 bytes", path)};
  unlink(path.c_str());
  boost::system::error_code error;
  auto& acceptor = impl_->acceptor;
  acceptor.open(asio::local::stream_protocol(), error);
  mode_t before = umask(0177);
  if (!error) acceptor.bind(asio::local::stream_protocol::endpoint(path), error);
  umask(before);
  if (!error) acceptor.listen(16, error);
  if (error) return Error{Code::Internal, fmt::format("listen at {}: {}", path, error.message())};
  grpc::ServerBuilder builder;
  builder.RegisterService(impl_.get());
  builder.SetMaxReceiveMessageSize(1 << 20);
  impl_->server = builder.BuildAndStart();
  if (!impl_->server) return Error{Code::Internal, "start the agent service"};
  return {};
}

Awaitable<void> AgentServer::run(StopToken stop) {
  auto impl = impl_;
  if (!impl->server) co_return;
  auto close = [impl] {
    boost::system::error_code ignored;
    impl->acceptor.close(ignored);
  };
  std::stop_callback on_stop(stop, close);
  co_await impl->accept_loop();
  // Calls in flight need this executor to come to their ends.
  auto shut_down = [impl] {
    impl->server->Shutdown(std::chrono::system_clock::now());
    return true;
  };
  co_await blocking(shut_down);
}

void AgentServer::changed(const Launcher& launcher, const std::string& lifecycle, const std::string& message, bool gone) {
  std::erase_if(impl_->followers, [](const Follower& f) { return f.outbox->cancelled().stop_requested(); });
  for (const Follower& follower : impl_->followers)
    impl_->tell(follower, gone ? agent_v1::Event::GONE : agent_v1::Event::CHANGED, launcher, lifecycle, message);
}

}  // namespace nodevirt::virt_handler
