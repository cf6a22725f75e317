// The target's beginning: the launcher prepares, the port lets the source in.
#include "pkg/base/failpoint.hpp"
#include "pkg/base/log.hpp"
#include "virt-handler/migration/target/incoming_impl.hpp"

namespace nodevirt::virt_handler::migration {

NV_DECLARE_FAILPOINT(kBeforePrepare, "virt-handler.migration-before-prepare");
NV_DECLARE_FAILPOINT(kAfterPrepare, "virt-handler.migration-after-prepare");

constexpr Clock::Duration kLauncherLimit = 120s;

Awaitable<Result<launcher::v1::PrepareTargetRequest>> Incoming::Impl::prepare_request() {
  auto self = shared_from_this();
  StopToken token_ = stop.get_token();
  MigrationRpc rpc = co_await wait_for_rpc(find_launcher(), deps.clock, kLauncherLimit, token_);
  if (!rpc) co_return Error{Code::Unavailable, "the target's launcher does not answer"};
  std::shared_ptr<Launcher> launcher = find_launcher()();
  for (Clock::Time until = deps.clock.now() + 30s; launcher && launcher->network != NetworkState::Ready;) {
    if (launcher->network == NetworkState::Failed) {
      std::shared_ptr<const api::Instance> view = object->view;
      co_await deps.launchers.prepare_network(launcher, view);
      if (launcher->network == NetworkState::Ready) break;
    }
    if (deps.clock.now() >= until || !co_await deps.clock.sleep(20ms, token_))
      co_return launcher->network_error ? *launcher->network_error : Error{Code::Unavailable, "the network of the target's pod is not ready"};
    launcher = find_launcher()();
  }
  if (!launcher) co_return Error{Code::Unavailable, "the target's pod is gone"};
  launcher::v1::PrepareTargetRequest out;
  out.set_migration_uid(id);
  out.set_vmi_json(object->text);
  out.set_allow_post_copy(bool_at(stored, {"status", "migrationState", "migrationConfiguration", "allowPostCopy"}));
  launcher::v1::NodeOptions& node = *out.mutable_node();
  node.set_kvm(co_await deps.kvm());
  for (const auto& interface : launcher->interfaces) *node.add_interfaces() = interface;
  co_return out;
}

Awaitable<void> Incoming::Impl::prepare() {
  auto self = shared_from_this();
  NV_FAILPOINT(kBeforePrepare);
  auto ask = co_await prepare_request();
  Result<launcher::v1::PrepareTargetResponse> answer = Error{Code::Unavailable, "the target's launcher does not answer"};
  if (!ask.ok()) {
    answer = ask.error();
  } else if (MigrationRpc rpc = rpc_of(find_launcher()())) {
    answer = co_await rpc->prepare_target(*ask);
  }
  NV_FAILPOINT(kAfterPrepare);
  StopToken token_ = stop.get_token();
  if (answer.ok()) {
    prepared = std::move(*answer);
    if (prepared->interfaces_size() == 0 && ask.ok())
      for (const auto& interface : ask->node().interfaces()) *prepared->add_interfaces() = interface;
    open_door();
    if (link) link->say(hello_message({token, *prepared}));
  } else if (answer.error().code == Code::Unavailable && ask.ok() && !token_.stop_requested()) {
    co_await deps.clock.sleep(500ms, token_);  // the launcher is being restarted
  } else if (!token_.stop_requested()) {
    log::warning("{}/{}: migration {}: {}", ns, name, id, answer.error().message);
    refused = answer.error();
    if (link) link->say(refused_message(*refused));
  }
  preparing = false;
  poke();
}

/// Before it is prepared the source may only talk to us; after a start of this program the pod may not be known at once.
void Incoming::Impl::open_door() {
  std::weak_ptr<Impl> weak = weak_from_this();
  Route route{.migration = id, .instance = instance, .source_node = state.source_node};
  route.patient = handover.fetches();
  route.memory_waits = memory_waits = handover.fetches() && !listens_again;
  if (std::shared_ptr<Launcher> launcher = find_launcher()()) {
    route.libvirt_dir = deps.launchers.empty_dir(*launcher->pod, "libvirt");
    route.migration_dir = deps.launchers.empty_dir(*launcher->pod, "migration");
    door_open = true;
  }
  auto file_of = [](const std::string& path, std::string otherwise) {
    return path.empty() ? otherwise : path.substr(path.rfind('/') + 1);
  };
  if (prepared) {
    route.memory_socket = file_of(prepared->memory_socket(), route.memory_socket);
    route.disk_socket = file_of(prepared->disk_socket(), route.disk_socket);
  }
  if (bool_at(stored, {"status", "migrationState", "migrationConfiguration", "disableTLS"})) route.plain_token = token;
  route.control = [weak](std::shared_ptr<net::FdStream> stream) {
    if (auto impl = weak.lock(); impl && !impl->over) impl->accept(std::move(stream));
  };
  deps.port.expect(std::move(route));
}

/// The newest link counts: the source opens another one only when the older is gone for it.
void Incoming::Impl::accept(std::shared_ptr<net::FdStream> stream) {
  std::shared_ptr<ControlLink> old = std::exchange(link, nullptr);
  link = std::make_shared<ControlLink>(deps.executor, std::move(stream));
  if (old) old->close();
  std::weak_ptr<Impl> weak = weak_from_this();
  std::weak_ptr<ControlLink> mine = link;
  auto said = [weak, mine](Json message) {
    auto impl = weak.lock();
    if (impl && impl->link == mine.lock()) impl->heard(message);
  };
  auto lost = [weak, mine](Error why) {
    auto impl = weak.lock();
    if (!impl || impl->link != mine.lock()) return;
    log::debug("{}/{}: migration {}: the link is gone: {}", impl->ns, impl->name, impl->id, why.message);
    impl->link.reset();
    impl->handover.link(false);
    impl->poke();
  };
  link->start(said, lost);
  if (prepared) link->say(hello_message({token, *prepared}));
  if (refused) link->say(refused_message(*refused));
  handover.link(true);
  poke();
}

}  // namespace nodevirt::virt_handler::migration
