#include "virt-handler/instances/launchers.hpp"

#include <fmt/format.h>

#include "api/names.hpp"
#include "pkg/base/log.hpp"
#include "virt-handler/instances/wait_file.hpp"
#include "virt-handler/network/pod_network.hpp"

namespace nodevirt::virt_handler {

launcher::v1::DomainRequest Launcher::request() const {
  launcher::v1::DomainRequest out;
  out.set_ns(pod->meta.ns);
  out.set_name(pod->instance_name);
  out.set_uid(pod->instance_uid);
  return out;
}

namespace {

/// A guest that has stopped may be undefined already: how it ended then stands in the event alone.
launcher::v1::DomainState told_state(const launcher::v1::DomainEvent& event) {
  launcher::v1::DomainState state = event.state();
  if (event.lifecycle() == "Stopped" && !state.present()) {
    state.set_present(true);
    state.set_state("Shutoff");
    state.set_reason(event.detail());
  }
  return state;
}

}  // namespace

struct Launchers::Impl : std::enable_shared_from_this<Impl> {
  explicit Impl(Deps d) : deps(std::move(d)) {}

  Deps deps;
  std::map<std::string, std::shared_ptr<Launcher>> by_pod;  ///< pod uid
  std::map<std::string, std::string> active;                ///< instance uid -> pod name
  bool stopped = false;

  std::filesystem::path empty_dir(const PodObject& pod, std::string_view volume) const {
    return deps.kubelet_root / "pods" / pod.meta.uid / "volumes" / "kubernetes.io~empty-dir" / volume;
  }
  void changed(const Launcher& launcher) { deps.changed(launcher.pod->instance_key()); }

  void begin(const std::shared_ptr<Launcher>& launcher);
  void met(const std::shared_ptr<Launcher>& launcher, pid_t pid);
  Awaitable<void> meet_monitor(std::shared_ptr<Launcher> launcher);
  Awaitable<void> follow(std::shared_ptr<Launcher> launcher);
  Awaitable<void> one_connection(std::shared_ptr<Launcher> launcher, std::filesystem::path socket);
  Awaitable<void> first_network(std::shared_ptr<Launcher> launcher);
  Awaitable<void> prepare_network(std::shared_ptr<Launcher> launcher, std::shared_ptr<const api::Instance> vmi);
  void lost(Launcher& launcher);
};

void Launchers::Impl::begin(const std::shared_ptr<Launcher>& launcher) {
  launcher->unreachable_since = deps.clock.now();
  spawn(deps.executor, meet_monitor(launcher), "monitor of " + launcher->pod->instance_key());
  spawn(deps.executor, follow(launcher), "launcher of " + launcher->pod->instance_key());
}

/// A process of the pod is known: its network can be prepared.
void Launchers::Impl::met(const std::shared_ptr<Launcher>& launcher, pid_t pid) {
  launcher->pid = pid;
  if (launcher->network_begun) return;
  launcher->network_begun = true;
  spawn(deps.executor, first_network(launcher), "network of " + launcher->pod->instance_key());
}

/// The monitor is there well before the launcher: the network is prepared while that one starts.
Awaitable<void> Launchers::Impl::meet_monitor(std::shared_ptr<Launcher> launcher) {
  auto self = shared_from_this();
  StopToken stop = launcher->stop.get_token();
  std::filesystem::path dir = empty_dir(*launcher->pod, "sockets");
  std::string name(api::kMonitorSocket);
  if (!co_await wait_for_file(dir, name, deps.clock, stop)) co_return;
  if (auto pid = rpc::peer_pid(dir / name); pid.ok() && launcher->pid == 0) met(launcher, *pid);
}

void Launchers::Impl::lost(Launcher& launcher) {
  if (launcher.connected) launcher.unreachable_since = deps.clock.now();
  launcher.connected = false;
  launcher.client.reset();
  changed(launcher);
}

Awaitable<void> Launchers::Impl::follow(std::shared_ptr<Launcher> launcher) {
  auto self = shared_from_this();
  StopToken stop = launcher->stop.get_token();
  std::filesystem::path dir = empty_dir(*launcher->pod, "sockets");
  std::string name(api::kLauncherSocket);
  Clock::Duration pause = 20ms;
  while (!stop.stop_requested()) {
    if (!co_await wait_for_file(dir, name, deps.clock, stop)) co_return;
    Clock::Time begun = deps.clock.now();
    std::filesystem::path socket = dir / name;
    co_await one_connection(launcher, socket);
    lost(*launcher);
    if (deps.clock.now() - begun > 5s) pause = 20ms;
    if (launcher->pod_gone) co_return;
    co_await deps.clock.sleep(pause, stop);
    pause = std::min<Clock::Duration>(pause * 2, 2s);
  }
}

Awaitable<void> Launchers::Impl::one_connection(std::shared_ptr<Launcher> launcher, std::filesystem::path socket) {
  auto self = shared_from_this();
  auto pid = rpc::peer_pid(socket);
  if (!pid.ok()) co_return;
  met(launcher, *pid);
  auto connected = co_await rpc::connect_launcher(socket);
  if (!connected.ok()) {
    log::debug("launcher of {}: {}", launcher->pod->instance_key(), connected.error().message);
    co_return;
  }
  std::shared_ptr<rpc::LauncherClient> client = std::move(*connected);
  auto watch = std::shared_ptr<rpc::DomainWatch>(client->watch());
  auto cancel = [watch] { watch->cancel(); };
  std::stop_callback on_stop(launcher->stop.get_token(), cancel);
  for (;;) {
    auto event = co_await watch->next();
    if (!event.ok()) co_return;
    launcher->client = client;
    launcher->connected = true;
    launcher->domain = told_state(*event);
    if (launcher->domain->present()) launcher->absent_since.reset();
    else if (!launcher->absent_since) launcher->absent_since = deps.clock.now();
    if (!event->message().empty()) launcher->domain_message = event->message();
    if (deps.told) deps.told(*launcher, *event);
    changed(*launcher);
  }
}

Awaitable<void> Launchers::Impl::first_network(std::shared_ptr<Launcher> launcher) {
  auto self = shared_from_this();
  std::string ns = launcher->pod->meta.ns, name = launcher->pod->instance_name, uid = launcher->pod->instance_uid;
  auto vmi = co_await deps.instance(ns, name, uid);
  if (!vmi.ok()) {
    launcher->network = NetworkState::Failed;
    launcher->network_error = vmi.error();
    changed(*launcher);
    co_return;
  }
  co_await prepare_network(launcher, *vmi);
}

Awaitable<void> Launchers::Impl::prepare_network(std::shared_ptr<Launcher> launcher, std::shared_ptr<const api::Instance> vmi) {
  auto self = shared_from_this();
  if (launcher->pid == 0) co_return;
  PodNetworkRequest request{.pid = launcher->pid, .launcher_uid = deps.launcher_uid};
  Clock::Time begun = deps.clock.now();
  auto prepared = co_await prepare_pod_network(request, vmi);
  log::debug("{}: network prepared in {} us", launcher->pod->instance_key(),
             std::chrono::duration_cast<std::chrono::microseconds>(deps.clock.now() - begun).count());
  if (prepared.ok()) {
    launcher->network = NetworkState::Ready;
    launcher->network_error.reset();
    launcher->interfaces = std::move(*prepared);
  } else {
    launcher->network = NetworkState::Failed;
    launcher->network_error = prepared.error().with_context("prepare the pod's network");
  }
  changed(*launcher);
}

Launchers::Launchers(Deps deps) : impl_(std::make_shared<Impl>(std::move(deps))) {}
Launchers::~Launchers() { stop(); }

void Launchers::pod_changed(const std::shared_ptr<const PodObject>& old, const std::shared_ptr<const PodObject>& now) {
  if (impl_->stopped) return;
  const PodObject& pod = now ? *now : *old;
  auto found = impl_->by_pod.find(pod.meta.uid);
  if (!now) {
    if (found == impl_->by_pod.end()) return;
    found->second->pod_gone = true;
    found->second->stop.request_stop();
    impl_->changed(*found->second);
    return;
  }
  if (found == impl_->by_pod.end()) {
    auto launcher = std::make_shared<Launcher>();
    launcher->pod = now;
    impl_->by_pod.emplace(pod.meta.uid, launcher);
    if (now->ended()) launcher->unreachable_since = impl_->deps.clock.now();
    else impl_->begin(launcher);
  } else {
    found->second->pod = now;
    if (now->ended()) found->second->stop.request_stop();
  }
  impl_->deps.changed(now->instance_key());
}

std::shared_ptr<Launcher> Launchers::of_instance(const std::string& instance_uid) const {
  std::shared_ptr<Launcher> best;
  auto active = impl_->active.find(instance_uid);
  for (const auto& [uid, launcher] : impl_->by_pod)
    if (active != impl_->active.end() && launcher->pod->instance_uid == instance_uid && launcher->pod->meta.name == active->second) return launcher;
  for (const auto& [uid, launcher] : impl_->by_pod)
    if (launcher->pod->instance_uid == instance_uid && (!best || best->pod_gone || best->pod->ended())) best = launcher;
  return best;
}

std::shared_ptr<Launcher> Launchers::of_pod(const std::string& ns, const std::string& pod) const {
  std::shared_ptr<Launcher> best;
  for (const auto& [uid, launcher] : impl_->by_pod)
    if (launcher->pod->meta.name == pod && launcher->pod->meta.ns == ns && (!best || best->pod_gone)) best = launcher;
  return best;
}

void Launchers::set_active(const std::string& instance_uid, std::string pod) {
  if (pod.empty()) impl_->active.erase(instance_uid);
  else impl_->active[instance_uid] = std::move(pod);
}

void Launchers::forget_former(const std::string& instance_uid) {
  std::shared_ptr<Launcher> active = of_instance(instance_uid);
  std::erase_if(impl_->by_pod, [&](const auto& item) {
    return item.second->pod_gone && item.second->pod->instance_uid == instance_uid && item.second != active;
  });
}

std::vector<std::shared_ptr<Launcher>> Launchers::of_key(const std::string& key) const {
  std::vector<std::shared_ptr<Launcher>> out;
  for (const auto& [uid, launcher] : impl_->by_pod)
    if (launcher->pod->instance_key() == key) out.push_back(launcher);
  return out;
}

std::vector<std::shared_ptr<Launcher>> Launchers::all() const {
  std::vector<std::shared_ptr<Launcher>> out;
  for (const auto& [uid, launcher] : impl_->by_pod) out.push_back(launcher);
  return out;
}

Awaitable<void> Launchers::prepare_network(std::shared_ptr<Launcher> launcher, std::shared_ptr<const api::Instance> vmi) {
  auto impl = impl_;
  co_await impl->prepare_network(launcher, vmi);
}

void Launchers::forget_gone(const std::string& instance_uid) {
  impl_->active.erase(instance_uid);
  std::erase_if(impl_->by_pod, [&](const auto& item) {
    return item.second->pod_gone && item.second->pod->instance_uid == instance_uid;
  });
}

void Launchers::stop() {
  impl_->stopped = true;
  for (const auto& [uid, launcher] : impl_->by_pod) launcher->stop.request_stop();
}

std::filesystem::path Launchers::empty_dir(const PodObject& pod, std::string_view volume) const {
  return impl_->empty_dir(pod, volume);
}

}  // namespace nodevirt::virt_handler
