#include "virt-handler/instances/controller.hpp"

#include <fmt/format.h>

#include "api/fence.hpp"
#include "api/names.hpp"
#include "pkg/base/failpoint.hpp"
#include "pkg/base/log.hpp"
#include "pkg/k8s/status.hpp"
#include "virt-handler/instances/status.hpp"

namespace nodevirt::virt_handler {

NV_DECLARE_FAILPOINT(kBeforeSync, "virt-handler.before-sync");
NV_DECLARE_FAILPOINT(kAfterSync, "virt-handler.after-sync");
NV_DECLARE_FAILPOINT(kBeforeStatus, "virt-handler.before-status-patch");
NV_DECLARE_FAILPOINT(kAfterStatus, "virt-handler.after-status-patch");
NV_DECLARE_FAILPOINT(kAfterShutdown, "virt-handler.after-shutdown");
NV_DECLARE_FAILPOINT(kAfterKill, "virt-handler.after-kill");

/// A guest whose fence is not in force yet is asked about again.
constexpr Clock::Duration kFenceWait = 100ms;

struct InstanceController::Impl {
  explicit Impl(Deps d) : deps(std::move(d)) {}
  Deps deps;
  std::unique_ptr<runtime::Controller> controller;
  /// Failed starts by the instance's uid. The launcher's own events wake us too: they must not undo the delay.
  struct Failures { int count = 0; Clock::Time not_before{}; };
  std::map<std::string, Failures> failures;

  std::optional<Clock::Duration> delay_of(Step step, const std::string& uid) const;
  Clock::Duration failed(const std::string& uid);
  Awaitable<void> confirm_ended(const api::Instance& vmi, std::shared_ptr<Launcher> launcher);
  Observation observe(const InstanceObject& object, const std::shared_ptr<Launcher>& launcher);
  Awaitable<Result<void>> apply(Step step, std::shared_ptr<const InstanceObject> object, std::shared_ptr<Launcher> launcher);
  Awaitable<Result<void>> sync(std::shared_ptr<const InstanceObject> object, std::shared_ptr<Launcher> launcher);
  Awaitable<Result<bool>> may_start(std::shared_ptr<const InstanceObject> object, std::string pod_uid);
  Awaitable<Result<bool>> pod_is_gone(std::string ns, std::string uid);
  Awaitable<Result<void>> end_orphans(std::string key, std::string living_uid);
  Awaitable<void> refresh_guest(std::shared_ptr<Launcher> launcher);
  Awaitable<Result<runtime::Action>> reconcile(std::string key);
  void send_events(const InstanceObject& object, const std::vector<EventText>& events);
};

Observation InstanceController::Impl::observe(const InstanceObject& object, const std::shared_ptr<Launcher>& launcher) {
  Observation out;
  out.vmi = object.view.get();
  out.now = deps.clock.wall();
  out.migrating = migration::source_is_held(object.migration, deps.node);
  if (!launcher) return out;
  out.pod_found = !launcher->pod_gone;
  out.pod_deleting = launcher->pod->deleting;
  out.pod_phase = launcher->pod->phase;
  out.pod_uid = launcher->pod->meta.uid;
  out.pod_ip = launcher->pod->ip;
  out.pod_ip6 = launcher->pod->ip6;
  out.connected = launcher->connected;
  if (!launcher->connected) out.unreachable_for = deps.clock.now() - launcher->unreachable_since;
  if (launcher->absent_since) out.absent_for = deps.clock.now() - *launcher->absent_since;
  out.network = launcher->network;
  out.domain = launcher->domain ? &*launcher->domain : nullptr;
  out.domain_message = launcher->domain_message;
  return out;
}

std::optional<Clock::Duration> InstanceController::Impl::delay_of(Step step, const std::string& uid) const {
  auto found = failures.find(uid);
  if (found == failures.end() || (step != Step::Sync && step != Step::PrepareNetwork)) return std::nullopt;
  Clock::Duration left = found->second.not_before - deps.clock.now();
  if (left <= Clock::Duration::zero()) return std::nullopt;
  return left;
}

Clock::Duration InstanceController::Impl::failed(const std::string& uid) {
  Failures& entry = failures[uid];
  Clock::Duration delay = std::min<Clock::Duration>(250ms * (1 << std::min(entry.count, 10)), 15s);
  ++entry.count;
  entry.not_before = deps.clock.now() + delay;
  return delay;
}

/// A state told on the stream may be older than what an answer told: nothing is declared over on its word alone.
Awaitable<void> InstanceController::Impl::confirm_ended(const api::Instance& vmi, std::shared_ptr<Launcher> launcher) {
  if (vmi.status.phase != "Running" || !launcher || !launcher->connected || !launcher->domain) co_return;
  std::shared_ptr<rpc::LauncherClient> client = launcher->client;
  if (!client || is_active(*launcher->domain)) co_return;
  launcher::v1::DomainRequest request = launcher->request();
  auto state = co_await client->get_domain(request);
  if (state.ok() && state->present()) launcher->domain = std::move(*state);
}

Awaitable<Result<bool>> InstanceController::Impl::pod_is_gone(std::string ns, std::string uid) {
  client::ListOptions options;
  options.label_selector = fmt::format("{}={}", api::kCreatedByLabel, uid);
  auto list = co_await deps.client.list(k8s::resources::kPods, ns, options);
  if (!list.ok()) co_return list.error().with_context("look for the launcher pod");
  const Json* items = find(*list, {"items"});
  if (items && items->is_array())
    for (const Json& pod : *items)
      if (string_at(pod, {"spec", "nodeName"}) == deps.node) co_return false;
  co_return true;
}

// The order is what counts: first the entry, then the instance (node/fence.hpp).
Awaitable<Result<bool>> InstanceController::Impl::may_start(std::shared_ptr<const InstanceObject> object, std::string pod_uid) {
  if (object->view->status.phase != "Scheduled" || !deps.fence_entered || !object->meta.annotations.contains(std::string(api::kFenceAtStartAnnotation)))
    co_return true;
  if (!deps.fence_entered(pod_uid)) co_return false;
  auto now = co_await deps.client.get(k8s::resources::kVirtualMachineInstances, object->meta.ns, object->meta.name);
  if (!now.ok() && k8s::is_not_found(now.error())) co_return false;
  if (!now.ok()) co_return now.error().with_context("read the instance before its guest is started");
  co_return string_at(*now, {"metadata", "uid"}) == object->meta.uid && string_at(*now, {"status", "phase"}) == "Scheduled" &&
      string_at(*now, {"status", "nodeName"}) == deps.node;
}

Awaitable<Result<void>> InstanceController::Impl::sync(std::shared_ptr<const InstanceObject> object, std::shared_ptr<Launcher> launcher) {
  launcher::v1::SyncRequest request;
  request.set_vmi_json(object->text);
  launcher::v1::NodeOptions& node = *request.mutable_node();
  node.set_kvm(co_await deps.kvm());
  for (const auto& interface : launcher->interfaces) *node.add_interfaces() = interface;
  node.set_start_paused(object->view->spec.start_strategy == "Paused");
  std::shared_ptr<rpc::LauncherClient> client = launcher->client;
  if (!client) co_return Error{Code::Unavailable, "the launcher is not connected"};
  NV_FAILPOINT(kBeforeSync);
  auto state = co_await client->sync(std::move(request));
  NV_FAILPOINT(kAfterSync);
  if (!state.ok()) co_return state.error();
  launcher->domain = std::move(*state);
  co_return Result<void>{};
}

Awaitable<Result<void>> InstanceController::Impl::apply(Step step, std::shared_ptr<const InstanceObject> object,
                                                       std::shared_ptr<Launcher> launcher) {
  if (step == Step::None || step == Step::ConfirmPodGone) co_return Result<void>{};
  if (step == Step::PrepareNetwork) {
    co_await deps.launchers.prepare_network(launcher, object->view);
    if (launcher->network_error) co_return *launcher->network_error;
    co_return Result<void>{};
  }
  if (step == Step::Sync) co_return co_await sync(object, launcher);

  std::shared_ptr<rpc::LauncherClient> client = launcher->client;
  if (!client) co_return Error{Code::Unavailable, "the launcher is not connected"};
  launcher::v1::DomainRequest request = launcher->request();
  rpc::DomainCommand command = step == Step::Shutdown ? rpc::DomainCommand::Shutdown
                               : step == Step::Kill   ? rpc::DomainCommand::Kill
                                                      : rpc::DomainCommand::Delete;
  auto done = co_await client->command(command, request);
  if (!done.ok()) co_return done.error().with_context(fmt::format("{} the domain", rpc::to_string(command)));
  if (step == Step::Shutdown) {
    NV_FAILPOINT(kAfterShutdown);
    if (launcher->domain) launcher->domain->set_shutdown_requested(true);
    send_events(*object, {{"Normal", "ShuttingDown", "The guest was asked to power off."}});
  }
  if (step == Step::Kill) {
    NV_FAILPOINT(kAfterKill);
    if (object->view->deleting()) send_events(*object, {{"Normal", "Deleted", "The guest was switched off."}});
    // How it ended is the launcher's to say; its stream may be a moment behind this answer.
    auto state = co_await client->get_domain(request);
    if (state.ok() && state->present()) launcher->domain = std::move(*state);
  }
  co_return Result<void>{};
}

/// Domains of instances of this name that are not the living one: nobody wants them any more.
Awaitable<Result<void>> InstanceController::Impl::end_orphans(std::string key, std::string living_uid) {
  std::vector<std::shared_ptr<Launcher>> launchers = deps.launchers.of_key(key);
  for (std::shared_ptr<Launcher>& launcher : launchers) {
    if (launcher->pod->instance_uid == living_uid) continue;
    if (launcher->pod_gone) {
      failures.erase(launcher->pod->instance_uid);
      deps.launchers.forget_gone(launcher->pod->instance_uid);
      continue;
    }
    if (!launcher->client || !launcher->domain || !is_active(*launcher->domain)) continue;
    // The cache knows only instances that were handed over to this node: ask.
    auto stored = co_await deps.client.get(k8s::resources::kVirtualMachineInstances, launcher->pod->meta.ns, launcher->pod->instance_name);
    if (!stored.ok() && !k8s::is_not_found(stored.error())) co_return stored.error();
    if (stored.ok() && string_at(*stored, {"metadata", "uid"}) == launcher->pod->instance_uid) continue;
    std::shared_ptr<rpc::LauncherClient> client = launcher->client;
    if (!client) continue;
    log::warning("{}: a guest runs whose instance is gone: switched off", key);
    launcher::v1::DomainRequest request = launcher->request();
    auto killed = co_await client->command(rpc::DomainCommand::Kill, request);
    if (!killed.ok()) co_return killed.error();
  }
  co_return Result<void>{};
}

Awaitable<void> InstanceController::Impl::refresh_guest(std::shared_ptr<Launcher> launcher) {
  if (!launcher->domain || !launcher->domain->guest_agent()) {
    launcher->guest.reset();
    co_return;
  }
  std::shared_ptr<rpc::LauncherClient> client = launcher->client;
  if (launcher->guest || !client) co_return;
  launcher::v1::DomainRequest request = launcher->request();
  auto info = co_await client->get_guest_info(request);
  if (info.ok()) launcher->guest = std::move(*info);
}

void InstanceController::Impl::send_events(const InstanceObject& object, const std::vector<EventText>& events) {
  runtime::ObjectReference about{"kubevirt.io/v1", "VirtualMachineInstance", object.meta.ns, object.meta.name,
                                 object.meta.uid,  object.meta.resource_version};
  for (const EventText& event : events) deps.events.event(about, event.type, event.reason, event.message);
}

Awaitable<Result<runtime::Action>> InstanceController::Impl::reconcile(std::string key) {
  std::shared_ptr<const InstanceObject> object = deps.instances.get(key);
  std::string living = object ? object->meta.uid : std::string();
  auto ended = co_await end_orphans(key, living);
  if (!ended.ok()) co_return ended.error();
  if (!object) co_return runtime::Action{};
  if (object->view->status.node_name != deps.node && !object->view->status.node_name.empty()) co_return runtime::Action{};

  // After a migration to and fro there are several pods of it here.
  deps.launchers.set_active(object->meta.uid, migration::active_pod(object->migration, deps.node));
  deps.launchers.forget_former(object->meta.uid);
  std::shared_ptr<Launcher> launcher = deps.launchers.of_instance(object->meta.uid);
  bool migrating = migration::source_is_held(object->migration, deps.node);
  if (!migrating) co_await confirm_ended(*object->view, launcher);
  Plan next = plan(observe(*object, launcher));
  if (auto delay = delay_of(next.step, object->meta.uid)) co_return runtime::Action{*delay};
  if (next.step == Step::Sync) {
    std::string pod_uid = launcher->pod->meta.uid;
    auto may = co_await may_start(object, std::move(pod_uid));
    if (!may.ok()) co_return may.error();
    if (!*may) co_return runtime::Action{kFenceWait};
  }
  bool confirmed_gone = false;
  if (next.step == Step::ConfirmPodGone) {
    auto gone = co_await pod_is_gone(object->meta.ns, object->meta.uid);
    if (!gone.ok()) co_return gone.error();
    confirmed_gone = *gone;
    if (!confirmed_gone) co_return runtime::Action{1s};
  }
  auto applied = co_await apply(next.step, object, launcher);
  std::optional<Error> failure;
  if (!applied.ok()) failure = applied.error();
  if (launcher && !migrating) co_await refresh_guest(launcher);

  auto json = parse_json(object->text);
  if (!json.ok()) co_return json.error();
  Observation seen = observe(*object, launcher);
  StatusInput input{.seen = seen, .object = *json, .node = deps.node};
  bool about_guest = next.step == Step::Sync || next.step == Step::PrepareNetwork;
  if (failure && about_guest) input.sync_error = failure;
  input.synced = next.step == Step::Sync && !failure;
  input.pod_confirmed_gone = confirmed_gone;
  if (launcher) {
    input.interfaces = launcher->interfaces;
    if (launcher->guest) input.guest = &*launcher->guest;
  }
  StatusOutcome outcome = compute_status(input);
  Json patch = status_patch(*json, outcome.status);
  if (!patch.empty()) {
    NV_FAILPOINT(kBeforeStatus);
    auto patched = co_await deps.client.patch(k8s::resources::kVirtualMachineInstances, object->meta.ns, object->meta.name,
                                             client::PatchType::Json, patch);
    NV_FAILPOINT(kAfterStatus);
    if (!patched.ok() && k8s::is_not_found(patched.error())) co_return runtime::Action{};
    if (!patched.ok()) {
      // A lost race: the change that won is on its way to us, and is looked at then.
      if (!k8s::is_failed_test(patched.error()) && !k8s::is_conflict(patched.error()))
        co_return patched.error().with_context("write the status of " + key);
      co_return runtime::Action{20ms};
    }
  }
  send_events(*object, outcome.events);
  runtime::Action action;
  action.requeue_after = next.again;
  if (failure && !about_guest) co_return *failure;
  if (failure) {
    log::warning("{}: {}", key, failure->message);
    action.requeue_after = failed(object->meta.uid);
  } else if (next.step == Step::Sync || object->view->final_phase()) {
    failures.erase(object->meta.uid);
  }
  co_return action;
}

InstanceController::InstanceController(Deps deps) : impl_(std::make_shared<Impl>(std::move(deps))) {
  runtime::Controller::Options options{.name = "instances", .workers = 8};
  options.backoff_min = std::chrono::milliseconds(50);
  options.backoff_max = std::chrono::seconds(15);
  Impl* impl = impl_.get();
  runtime::Controller::Reconcile reconcile = [impl](std::string key) { return impl->reconcile(std::move(key)); };
  impl_->controller = std::make_unique<runtime::Controller>(impl_->deps.clock, options, reconcile);
}

InstanceController::~InstanceController() = default;
void InstanceController::enqueue(std::string key) { impl_->controller->enqueue(std::move(key)); }
Awaitable<void> InstanceController::run(StopToken stop) { return impl_->controller->run(std::move(stop)); }
Awaitable<Result<runtime::Action>> InstanceController::reconcile(std::string key) { return impl_->reconcile(std::move(key)); }

}  // namespace nodevirt::virt_handler
