#include "virt-controller/node/controller.hpp"

#include "api/names.hpp"
#include "pkg/base/log.hpp"
#include "virt-controller/node/events.hpp"
#include "virt-controller/node/plan.hpp"
#include "virt-controller/node/unschedulable.hpp"

namespace nodevirt::virt_controller::node {

namespace {
using runtime::Action;
}  // namespace

struct NodeController::Impl {
  Impl(Context& c, std::function<void(std::string)> w) : ctx(c), wake(std::move(w)) {}

  struct Beat {
    std::string heartbeat;
    Clock::Time since;
    bool stale = false;
  };
  Context& ctx;
  std::function<void(std::string)> wake;
  std::unordered_map<std::string, Beat> beats;
  std::unique_ptr<runtime::Controller> queue;

  void wake_instances(const std::string& node, bool tell) {
    for (const auto& i : ctx.instances.by_index("node", node)) {
      wake(i->meta.key());
      if (tell) node_unresponsive(ctx, *i);
    }
  }
};

namespace {

template <class Impl>
Awaitable<Result<Action>> reconcile(std::shared_ptr<Impl> self, std::string name) {
  auto node = self->ctx.nodes.get(name);
  if (!node) {
    self->beats.erase(name);
    self->wake_instances(name, false);
    co_return Action{};
  }
  auto now = self->ctx.clock.now();
  auto& beat = self->beats[name];
  std::string heartbeat = node->heartbeat();
  if (beat.heartbeat != heartbeat || beat.since == Clock::Time{}) {
    beat.heartbeat = heartbeat;
    beat.since = now;
  }
  auto label = node->meta.labels.find(std::string(api::kSchedulableLabel));
  bool schedulable = label != node->meta.labels.end() && label->second == "true";
  Observation seen{heartbeat, schedulable, now - beat.since, self->ctx.clock.wall()};
  Plan p = plan(seen);
  if (p.stale != beat.stale) {
    beat.stale = p.stale;
    if (p.stale) node_unresponsive(self->ctx, *node);
    self->wake_instances(name, p.stale);
  }
  if (p.mark_unschedulable) {
    auto done = co_await mark_unschedulable(&self->ctx, name);
    if (!done.ok()) co_return done.error();
    log::warning("node {} does not answer: no new instances are placed there", name);
  }
  co_return Action{p.again};
}

}  // namespace

NodeController::NodeController(Context& context, std::function<void(std::string)> wake)
    : impl_(std::make_shared<Impl>(context, std::move(wake))) {
  std::weak_ptr<Impl> weak = impl_;
  runtime::Controller::Reconcile fn = [weak](std::string key) -> Awaitable<Result<Action>> { return reconcile(weak.lock(), std::move(key)); };
  impl_->queue = std::make_unique<runtime::Controller>(context.clock, runtime::Controller::Options{.name = "node", .workers = 1}, std::move(fn));
  context.nodes.on_change([weak](const NodeInformer::Ptr& old, const NodeInformer::Ptr& now) {
    auto impl = weak.lock();
    if (!impl) return;
    if (old && now && old->meta.labels == now->meta.labels && old->meta.annotations == now->meta.annotations) return;
    impl->queue->enqueue((now ? now : old)->meta.name);
  });
}

NodeController::~NodeController() = default;

Awaitable<void> NodeController::run(StopToken stop) {
  auto impl = impl_;
  co_await impl->queue->run(stop);
}

bool NodeController::idle() const { return impl_->queue->idle(); }

}  // namespace nodevirt::virt_controller::node
