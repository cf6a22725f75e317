#include "standalone/scheduler/scheduler.hpp"

#include "pkg/base/failpoint.hpp"
#include "pkg/base/log.hpp"
#include "pkg/runtime/event_recorder.hpp"
#include "pkg/runtime/signal.hpp"
#include "standalone/scheduler/schedule.hpp"

namespace nodevirt::scheduler {
namespace {

NV_DECLARE_FAILPOINT(kBeforeBind, "scheduler-before-bind");

namespace res = k8s::resources;
using runtime::Informer;

struct NamespaceView {
  runtime::ObjectMeta meta;
  static Result<NamespaceView> decode(const Json& o) { return NamespaceView{runtime::ObjectMeta::from_json(o)}; }
};

runtime::ObjectReference reference(const PodView& pod) {
  return {"v1", "Pod", pod.meta.ns, pod.meta.name, pod.meta.uid, pod.meta.resource_version};
}

}  // namespace

struct Scheduler::Impl {
  Impl(Executor e, client::Client c, Clock& k)
      : executor(e), client(c), clock(k), pods(c, k, {.resource = res::kPods}), nodes(c, k, {.resource = res::kNodes}),
        claims(c, k, {.resource = res::kPersistentVolumeClaims}), volumes(c, k, {.resource = res::kPersistentVolumes}),
        classes(c, k, {.resource = res::kStorageClasses}), namespaces(c, k, {.resource = res::kNamespaces}),
        events(e, c, k, "default-scheduler") {
    pods.on_change([this](const auto& old, const auto& now) { on_pod(old, now); });
    nodes.on_change([this](const auto& old, const auto& now) {
      if (!old || !now || !old->same_place(*now)) retry_all();
    });
    claims.on_change([this](const auto&, const auto&) { retry_all(); });
    volumes.on_change([this](const auto&, const auto&) { retry_all(); });
    classes.on_change([this](const auto&, const auto&) { retry_all(); });
  }

  static bool pending(const PodView& p) {
    return p.node.empty() && !p.finished() && !p.gated && p.meta.deletion_timestamp.empty() &&
           (p.scheduler_name.empty() || p.scheduler_name == "default-scheduler");
  }

  void on_pod(const std::shared_ptr<const PodView>& old, const std::shared_ptr<const PodView>& now) {
    const auto& any = now ? now : old;
    if (now && pending(*now)) {
      // What the scheduler itself writes (the condition) is no reason to try again.
      const bool own_write = old && old->meta.generation == now->meta.generation && old->meta.labels == now->meta.labels &&
                             old->gated == now->gated && pending(*old);
      if (own_write) return;
      waiting.erase(any->meta.key());
      active.insert(any->meta.key());
      wake.notify_all();
      return;
    }
    waiting.erase(any->meta.key());
    active.erase(any->meta.key());
    assumed.erase(any->meta.uid);
    // Room was made, or somebody came whom others want to be near.
    if (!now || now->finished() || !old || old->node != now->node) retry_all();
  }

  void retry_all() {
    if (waiting.empty()) return;
    active.insert(waiting.begin(), waiting.end());
    waiting.clear();
    wake.notify_all();
  }

  Snapshot snapshot() const {
    Snapshot s;
    s.nodes = nodes.list();
    for (auto& p : pods.list()) {
      if (p->finished()) continue;
      std::string node = p->node;
      if (node.empty())
        if (auto a = assumed.find(p->meta.uid); a != assumed.end()) node = a->second;
      if (!node.empty()) s.pods.push_back({p, node});
    }
    for (auto& c : claims.list()) s.claims[c->meta.key()] = c;
    for (auto& v : volumes.list()) s.volumes[v->meta.name] = v;
    for (auto& c : classes.list()) s.classes[c->meta.name] = c;
    for (auto& n : namespaces.list()) s.namespaces[n->meta.name] = n->meta.labels;
    return s;
  }

  /// The next pod: highest priority, then oldest, then by name.
  std::shared_ptr<const PodView> next() {
    std::shared_ptr<const PodView> best;
    for (auto it = active.begin(); it != active.end();) {
      auto pod = pods.get(*it);
      if (!pod || !pending(*pod) || assumed.contains(pod->meta.uid)) {
        it = active.erase(it);
        continue;
      }
      auto rank = [](const PodView& p) { return std::make_tuple(-p.priority, p.created, p.meta.key()); };
      if (!best || rank(*pod) < rank(*best)) best = pod;
      ++it;
    }
    if (best) active.erase(best->meta.key());
    return best;
  }

  void place(std::shared_ptr<const PodView> pod) {
    Decision d = schedule(*pod, snapshot());
    if (d.node.empty()) {
      waiting.insert(pod->meta.key());
      if (d.message != pod->unschedulable_message) spawn(executor, say_why_not(self(), pod, d.message), "scheduler condition");
      return;
    }
    if (!d.claims_to_place.empty()) {
      waiting.insert(pod->meta.key());   // until the claims are bound
      spawn(executor, place_claims(self(), d), "scheduler claims");
      return;
    }
    assumed[pod->meta.uid] = d.node;
    spawn(executor, bind(self(), pod, d.node), "scheduler bind");
  }

  static Awaitable<void> bind(std::shared_ptr<Impl> me, std::shared_ptr<const PodView> pod, std::string node) {
    NV_FAILPOINT(kBeforeBind);
    Json binding{{"apiVersion", "v1"}, {"kind", "Binding"}, {"metadata", {{"name", pod->meta.name}, {"namespace", pod->meta.ns}, {"uid", pod->meta.uid}}},
                 {"target", {{"apiVersion", "v1"}, {"kind", "Node"}, {"name", node}}}};
    auto bound = co_await me->client.create_subresource(res::kPods, pod->meta.ns, pod->meta.name, "binding", std::move(binding));
    if (bound.ok()) {
      me->events.event(reference(*pod), "Normal", "Scheduled", fmt::format("Successfully assigned {}/{} to {}", pod->meta.ns, pod->meta.name, node));
      co_return;
    }
    me->assumed.erase(pod->meta.uid);
    if (bound.error().code == Code::NotFound) co_return;
    log::warning("bind pod {} to {}: {}", pod->meta.key(), node, bound.error().message);
    StopSource never;
    co_await me->clock.sleep(std::chrono::milliseconds(500), never.get_token());
    me->active.insert(pod->meta.key());
    me->wake.notify_all();
  }

  static Awaitable<void> say_why_not(std::shared_ptr<Impl> me, std::shared_ptr<const PodView> pod, std::string message) {
    Json condition{{"type", "PodScheduled"}, {"status", "False"}, {"reason", "Unschedulable"}, {"message", message},
                   {"lastTransitionTime", format_time(me->clock.wall())}};
    Json patch;
    patch["metadata"]["uid"] = pod->meta.uid;
    patch["status"]["conditions"] = Json::array({std::move(condition)});
    client::WriteOptions options;
    options.subresource = "status";
    auto done = co_await me->client.patch(res::kPods, pod->meta.ns, pod->meta.name, client::PatchType::StrategicMerge, std::move(patch), options);
    if (!done.ok()) {
      if (done.error().code != Code::NotFound) log::warning("condition of pod {}: {}", pod->meta.key(), done.error().message);
      co_return;
    }
    me->events.event(reference(*pod), "Warning", "FailedScheduling", message);
  }

  static Awaitable<void> place_claims(std::shared_ptr<Impl> me, Decision d) {
    for (const std::string& key : d.claims_to_place) {
      auto claim = me->claims.get(key);
      if (!claim || claim->selected_node == d.node) continue;
      Json patch;
      patch["metadata"]["annotations"]["volume.kubernetes.io/selected-node"] = d.node;
      patch["metadata"]["resourceVersion"] = claim->meta.resource_version;
      auto done = co_await me->client.patch(res::kPersistentVolumeClaims, claim->meta.ns, claim->meta.name, client::PatchType::Merge, std::move(patch));
      // A conflict comes with a change of the claim, which brings the pod back here.
      if (!done.ok() && done.error().reason != "Conflict") log::warning("choose a node for claim {}: {}", key, done.error().message);
    }
  }

  Awaitable<void> loop(StopToken stop) {
    while (!stop.stop_requested()) {
      while (auto pod = next()) place(pod);
      co_await wake.wait(stop);
    }
  }

  std::shared_ptr<Impl> self() { return weak.lock(); }

  Executor executor;
  client::Client client;
  Clock& clock;
  Informer<PodView> pods;
  Informer<NodeView> nodes;
  Informer<ClaimView> claims;
  Informer<VolumeView> volumes;
  Informer<ClassView> classes;
  Informer<NamespaceView> namespaces;
  runtime::EventRecorder events;
  runtime::Signal wake;
  std::set<std::string> active, waiting;         // keys of pods to try now, and of those that did not fit
  std::map<std::string, std::string> assumed;    // uid -> node, until the informer shows it
  std::weak_ptr<Impl> weak;
};

Scheduler::Scheduler(Executor executor, client::Client client, Clock& clock)
    : impl_(std::make_shared<Impl>(std::move(executor), std::move(client), clock)) {
  impl_->weak = impl_;
}

Scheduler::~Scheduler() = default;

Awaitable<void> Scheduler::run(StopToken stop) {
  auto impl = impl_;
  spawn(impl->executor, impl->pods.run(stop), "scheduler pods");
  spawn(impl->executor, impl->nodes.run(stop), "scheduler nodes");
  spawn(impl->executor, impl->claims.run(stop), "scheduler claims");
  spawn(impl->executor, impl->volumes.run(stop), "scheduler volumes");
  spawn(impl->executor, impl->classes.run(stop), "scheduler classes");
  spawn(impl->executor, impl->namespaces.run(stop), "scheduler namespaces");
  const bool synced = co_await impl->pods.synced(stop) && co_await impl->nodes.synced(stop) && co_await impl->claims.synced(stop) &&
                      co_await impl->volumes.synced(stop) && co_await impl->classes.synced(stop) && co_await impl->namespaces.synced(stop);
  if (synced) co_await impl->loop(stop);
}

}  // namespace nodevirt::scheduler
