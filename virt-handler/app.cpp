#include "virt-handler/app.hpp"

#include <cstdio>
#include <csignal>

#include <boost/asio/signal_set.hpp>
#include <fmt/format.h>

#include "api/names.hpp"
#include "pkg/base/file.hpp"
#include "pkg/base/log.hpp"
#include "pkg/client/kubeconfig.hpp"
#include "pkg/k8s/status.hpp"
#include "virt-handler/agent/agent_server.hpp"
#include "virt-handler/instances/controller.hpp"
#include "virt-handler/metrics/metrics.hpp"
#include "virt-handler/migration/migrations.hpp"
#include "virt-handler/node/accelerator.hpp"
#include "virt-handler/node/capability_cache.hpp"
#include "virt-handler/node/cpu_labels.hpp"
#include "virt-handler/node/fence.hpp"
#include "virt-handler/node/publisher.hpp"
#include "virt-handler/options.hpp"
#include "virt-handler/streams/server.hpp"

namespace nodevirt::virt_handler {
namespace {

template <class T>
typename runtime::Informer<T>::Options informer_options(const k8s::Resource& resource, std::string labels, std::string fields) {
  typename runtime::Informer<T>::Options out;
  out.resource = resource;
  out.label_selector = std::move(labels);
  out.field_selector = std::move(fields);
  return out;
}

Result<std::shared_ptr<net::TlsContext>> server_tls(const Options& options) {
  if (options.tls_cert.empty()) return std::shared_ptr<net::TlsContext>();
  net::TlsServerOptions tls;
  NV_TRY(tls.certificate_pem, read_file(options.tls_cert, 1u << 20));
  NV_TRY(tls.private_key_pem, read_file(options.tls_key, 1u << 20));
  NV_TRY(tls.client_ca_pem, read_file(options.client_ca, 1u << 20));
  return net::make_server_context(tls);
}

Result<migration::StreamTls> migration_tls(const Options& options) {
  if (options.tls_cert.empty()) return migration::StreamTls{};
  NV_TRY(std::string certificate, read_file(options.tls_cert, 1u << 20));
  NV_TRY(std::string key, read_file(options.tls_key, 1u << 20));
  NV_TRY(std::string ca, read_file(options.client_ca, 1u << 20));
  return migration::make_stream_tls(certificate, key, ca);
}

std::string with_port(const std::string& address, std::uint16_t port) {
  return address.find(':') == std::string::npos ? fmt::format("{}:{}", address, port) : fmt::format("[{}]:{}", address, port);
}

/// Everything of one virt-handler, on one executor.
class Handler {
 public:
  Handler(boost::asio::io_context& io, Options options, client::Client client)
      : options_(std::move(options)),
        io_(io),
        client_(std::move(client)),
        instances_(client_, clock_, informer_options<InstanceObject>(k8s::resources::kVirtualMachineInstances,
                                                                     fmt::format("{}={}", api::kNodeNameLabel, options_.node_name), "")),
        coming_(client_, clock_, informer_options<InstanceObject>(k8s::resources::kVirtualMachineInstances,
                                                                  fmt::format("{}={}", api::kMigrationTargetNodeLabel, options_.node_name), "")),
        pods_(client_, clock_, informer_options<PodObject>(k8s::resources::kPods, fmt::format("{}=virt-launcher", api::kAppLabel),
                                                           "spec.nodeName=" + options_.node_name)),
        node_(client_, clock_, informer_options<runtime::RawObject>(k8s::resources::kNodes, "", "metadata.name=" + options_.node_name)),
        accelerator_({.state_dir = options_.state_dir, .probe_kernel = options_.kvm_probe_kernel}),
        events_(io.get_executor(), client_, clock_, "virt-handler", options_.node_name),
        viewers_(io.get_executor()),
        launchers_(launcher_deps()),
        view_(options_.node_name, launchers_, instances_),
        controller_(controller_deps()),
        publisher_({client_, clock_, node_, options_.node_name, [this] { return facts(); }}),
        fence_({client_, clock_, options_.node_name, [this] { return fenced(); }, boottime_ms}),
        agent_({io.get_executor(), clock_, client_, view_, [this] { return accelerator_name(); }, [this](bool drained) { set_drained(drained); }}),
        streams_({launchers_, viewers_, [this] { return ready(); }, [this] { return collect_metrics(options_.node_name, launchers_, viewers_, ready(), instances_.list()); },
                  options_.tls_cert.empty() ? "" : "virt-api"}) {}

  Result<void> start();
  void stop();
  Awaitable<void> finish();

 private:
  Result<void> listen_for_migrations();
  Launchers::Deps launcher_deps();
  InstanceController::Deps controller_deps();
  NodeFacts facts() const;
  std::vector<FencedLauncher> fenced() const;
  std::string accelerator_name() const;
  void set_drained(bool drained) { drained_ = drained; publisher_.poke(); }
  bool ready() const { return instances_.has_synced() && pods_.has_synced(); }
  Awaitable<Result<std::shared_ptr<const api::Instance>>> instance_of(std::string ns, std::string name, std::string uid);
  void instance_changed(const std::shared_ptr<const InstanceObject>& old, const std::shared_ptr<const InstanceObject>& now);
  void pod_changed(const std::shared_ptr<const PodObject>& old, const std::shared_ptr<const PodObject>& now);
  Awaitable<void> find_accelerator();
  Awaitable<void> know_the_node();
  Awaitable<void> run_controller();

  Options options_;
  boost::asio::io_context& io_;
  Clock& clock_ = system_clock();
  client::Client client_;
  StopSource stop_;
  bool drained_ = false, capabilities_ready_ = false;
  std::set<std::string> cpu_labels_;
  std::string address_, migration_address_;
  runtime::Informer<InstanceObject> instances_;
  runtime::Informer<InstanceObject> coming_;   ///< by migration, to this node
  runtime::Informer<PodObject> pods_;
  runtime::Informer<runtime::RawObject> node_;
  Accelerator accelerator_;
  runtime::EventRecorder events_;
  Viewers viewers_;
  Launchers launchers_;
  NodeView view_;
  InstanceController controller_;
  NodePublisher publisher_;
  FenceRelay fence_;
  AgentServer agent_;
  StreamServer streams_;
  std::unique_ptr<net::HttpServer> server_;
  std::unique_ptr<migration::Migrations> migrations_;
};

Launchers::Deps Handler::launcher_deps() {
  Launchers::Deps deps{.executor = io_.get_executor(), .clock = clock_, .kubelet_root = options_.kubelet_root, .launcher_uid = options_.launcher_uid};
  deps.changed = [this](std::string key) { controller_.enqueue(std::move(key)); };
  deps.told = [this](const Launcher& launcher, const launcher::v1::DomainEvent& event) {
    agent_.changed(launcher, event.lifecycle(), event.message(), false);
  };
  deps.instance = [this](std::string ns, std::string name, std::string uid) { return instance_of(std::move(ns), std::move(name), std::move(uid)); };
  return deps;
}

InstanceController::Deps Handler::controller_deps() {
  auto fence_entered = [this](const std::string& pod_uid) {
    if (fence_.entered(pod_uid)) return true;
    fence_.hurry();
    return false;
  };
  return {client_, clock_, instances_, pods_, launchers_, events_, options_.node_name, [this] { return accelerator_.kvm(); }, fence_entered};
}

NodeFacts Handler::facts() const {
  NodeFacts out;
  if (capabilities_ready_ && ready()) out.schedulable = !drained_;
  out.kvm = accelerator_.known();
  out.address = address_;
  out.migration_address = migration_address_;
  out.cpu_vendor = cpu_vendor();
  out.cpu_labels = cpu_labels_;
  return out;
}

std::string Handler::accelerator_name() const {
  auto known = accelerator_.known();
  return !known ? "" : *known ? "kvm" : "tcg";
}

std::vector<FencedLauncher> Handler::fenced() const {
  std::vector<FencedLauncher> out;
  for (const auto& launcher : launchers_.all()) {
    if (launcher->pod_gone || launcher->pod->ended()) continue;
    FencedLauncher one{.pod_uid = launcher->pod->meta.uid, .client = launcher->client};
    auto object = instances_.get(launcher->pod->instance_key());
    if (object && object->meta.uid == launcher->pod->instance_uid) one.seconds = api::fence_seconds(object->meta.annotations);
    out.push_back(std::move(one));
  }
  return out;
}

Awaitable<Result<std::shared_ptr<const api::Instance>>> Handler::instance_of(std::string ns, std::string name, std::string uid) {
  auto cached = instances_.get(ns + "/" + name);
  if (cached && cached->meta.uid == uid) co_return cached->view;
  auto stored = co_await client_.get(k8s::resources::kVirtualMachineInstances, ns, name);
  if (!stored.ok()) co_return stored.error();
  if (string_at(*stored, {"metadata", "uid"}) != uid) co_return Error{Code::NotFound, fmt::format("the instance {}/{} was replaced", ns, name)};
  auto decoded = api::decode_instance(*stored);
  if (!decoded.ok()) co_return decoded.error();
  co_return std::make_shared<const api::Instance>(std::move(*decoded));
}

void Handler::instance_changed(const std::shared_ptr<const InstanceObject>& old, const std::shared_ptr<const InstanceObject>& now) {
  controller_.enqueue(now ? now->meta.key() : old->meta.key());
  migrations_->ours_changed(old, now);
  if (!old || !now || old->view->status.phase == now->view->status.phase) return;
  if (auto launcher = launchers_.of_instance(now->meta.uid)) agent_.changed(*launcher, "", "", false);
}

void Handler::pod_changed(const std::shared_ptr<const PodObject>& old, const std::shared_ptr<const PodObject>& now) {
  launchers_.pod_changed(old, now);
  if (now) return;
  if (auto launcher = launchers_.of_instance(old->instance_uid); launcher && launcher->pod_gone) agent_.changed(*launcher, "", "", true);
}

Awaitable<void> Handler::find_accelerator() {
  co_await accelerator_.run();
  publisher_.poke();
}

/// Takes a moment when the answers were kept, and a second when they are new. Trying KVM may take longer: nobody
/// waits for that here, and instances that come meanwhile wait with their start.
Awaitable<void> Handler::know_the_node() {
  Executor executor = io_.get_executor();
  spawn(executor, find_accelerator(), "accelerator");
  CapabilityCacheOptions cache{.dir = options_.capability_cache_dir, .state_dir = options_.state_dir, .launcher_uid = options_.launcher_uid};
  auto filled = co_await fill_capability_cache(cache);
  if (!filled.ok()) log::warning("{}: starts of instances will take 2 s longer", filled.error().message);
  cpu_labels_ = read_cpu_labels(options_.state_dir);
  capabilities_ready_ = true;
  publisher_.poke();
}

Awaitable<void> Handler::run_controller() {
  StopToken stop = stop_.get_token();
  if (!co_await instances_.synced(stop) || !co_await pods_.synced(stop)) co_return;
  log::info("ready: {} instances, {} launcher pods on node {}", instances_.list().size(), pods_.list().size(), options_.node_name);
  publisher_.poke();
  spawn(io_.get_executor(), fence_.run(stop), "fence relay");  // now that every pod is known: unknown ones lose their entry
  co_await controller_.run(stop);
}

Result<void> Handler::listen_for_migrations() {
  migration::Migrations::Deps deps{.executor = io_.get_executor(), .clock = clock_, .client = client_, .launchers = launchers_,
                                   .state_dir = options_.state_dir, .launcher_uid = options_.launcher_uid, .node = options_.node_name};
  NV_TRY(deps.tls, migration_tls(options_));
  deps.kvm = [this] { return accelerator_.kvm(); };
  deps.changed = [this](std::string key) { controller_.enqueue(std::move(key)); };
  deps.event = [this](const InstanceObject& object, std::string type, std::string reason, std::string message, const std::string& migration) {
    runtime::ObjectReference about{"kubevirt.io/v1", "VirtualMachineInstance", object.meta.ns, object.meta.name, object.meta.uid, object.meta.resource_version};
    events_.event(about, std::move(type), std::move(reason), std::move(message), migration);
  };
  migrations_ = std::make_unique<migration::Migrations>(std::move(deps));
  const std::string& own = options_.migration_listen_address;
  std::string address = own.empty() ? options_.listen_address : own;
  NV_TRY(std::uint16_t port, migrations_->listen(address, options_.migration_listen_port));
  migration_address_ = options_.migration_advertise_address.empty() ? with_port(address, port) : options_.migration_advertise_address;
  migrations_->set_address(migration_address_);
  return {};
}

Result<void> Handler::start() {
  NV_TRY_VOID(make_dirs(options_.state_dir, 0700));
  NV_TRY(std::shared_ptr<net::TlsContext> tls, server_tls(options_));
  net::HttpServer::Options server_options;
  server_options.tls = tls;
  server_options.max_body = 64u << 10;
  server_ = std::make_unique<net::HttpServer>(io_.get_executor(), server_options, [this](net::ServerRequest& request, net::ResponseStream& response) {
    return streams_.handle(request, response);
  });
  NV_TRY(std::uint16_t port, server_->listen_tcp(options_.listen_address, options_.listen_port));
  address_ = options_.advertise_address;
  if (address_.empty()) address_ = with_port(options_.listen_address, port);
  NV_TRY_VOID(listen_for_migrations());
  if (!options_.agent_socket.empty()) NV_TRY_VOID(agent_.listen(options_.agent_socket));

  instances_.on_change([this](const auto& old, const auto& now) { instance_changed(old, now); });
  coming_.on_change([this](const auto& old, const auto& now) { migrations_->coming_changed(old, now); });
  pods_.on_change([this](const auto& old, const auto& now) { pod_changed(old, now); });
  StopToken stop = stop_.get_token();
  Executor executor = io_.get_executor();
  spawn(executor, instances_.run(stop), "instances informer");
  spawn(executor, coming_.run(stop), "informer of instances that come");
  spawn(executor, migrations_->run(stop), "migrations");
  spawn(executor, pods_.run(stop), "pods informer");
  spawn(executor, node_.run(stop), "node informer");
  spawn(executor, know_the_node(), "what the node can do");
  spawn(executor, run_controller(), "instance controller");
  spawn(executor, publisher_.run(stop), "node publisher");
  spawn(executor, server_->run(stop), "stream server");
  if (!options_.agent_socket.empty()) spawn(executor, agent_.run(stop), "agent server");
  log::info("virt-handler of node {} serves {}", options_.node_name, address_);
  return {};
}

void Handler::stop() {
  if (stop_.stop_requested()) return;
  viewers_.close_all();
  launchers_.stop();
  stop_.request_stop();
}

/// Leaves a moment for what was stopped to come to its end; guests do not notice any of this.
Awaitable<void> Handler::finish() {
  StopSource never;
  StopToken token = never.get_token();
  co_await clock_.sleep(200ms, token);
  io_.stop();
}

int fail(const Error& error, int status) {
  std::fprintf(stderr, "virt-handler: %s\n", error.message.c_str());
  return status;
}

}  // namespace

int run(std::vector<std::string> args) {
  auto options = parse_options(args);
  if (!options.ok()) return fail(options.error(), 2);
  if (options->help) {
    std::fputs(options_help().c_str(), stdout);
    return 0;
  }
  log::init("virt-handler");
  std::signal(SIGPIPE, SIG_IGN);
  boost::asio::io_context io(1);
  auto endpoint = client::load_kubeconfig({.path = options->kubeconfig});
  if (!endpoint.ok()) return fail(endpoint.error(), 1);
  auto transport = client::make_transport(io.get_executor(), *endpoint);
  if (!transport.ok()) return fail(transport.error(), 1);

  Handler handler(io, *options, client::Client(*transport));
  if (auto started = handler.start(); !started.ok()) return fail(started.error(), 1);
  boost::asio::signal_set signals(io, SIGTERM, SIGINT);
  auto on_signal = [&](const boost::system::error_code& error, int) {
    if (error) return;
    handler.stop();
    spawn(io.get_executor(), handler.finish(), "shutdown");
  };
  signals.async_wait(on_signal);
  io.run();
  std::fflush(nullptr);
  // Threads of libraries may still run: nothing is left that needs a destructor.
  std::_Exit(0);
}

}  // namespace nodevirt::virt_handler
