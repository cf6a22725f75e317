#include "pkg/k8s/status.hpp"
#include "virt-controller/vmi/controller_impl.hpp"

namespace nodevirt::virt_controller::vmi {

using runtime::Action;

Awaitable<Result<Action>> VmiController::Impl::reconcile(std::shared_ptr<Impl> self, std::string key) {
  auto cached = self->ctx.instances.get(key);
  if (!cached) {
    self->created.erase(key);
    co_return Action{};
  }
  Round r;
  r.key = key;
  r.object = cached->json();
  self->look(r);
  auto stepped = co_await self->take_step(&r);
  if (stepped.ok() && r.plan.step == Step::RemoveFinalizer) co_return Action{};
  std::optional<Error> error;
  if (!stepped.ok()) {
    error = stepped.error();
    if (k8s::is_conflict(*error) || k8s::is_failed_test(*error)) co_return *error;  // the watch brings what we missed
    if (r.plan.step == Step::CreatePod) r.failure = error;
  }
  auto written = co_await self->write_status(&r);
  if (error) co_return *error;
  if (!written.ok()) {
    if (k8s::is_not_found(written.error())) co_return Action{};
    co_return written.error();
  }
  auto opened = co_await self->open_gate(&r);
  if (!opened.ok()) co_return opened.error();
  co_return Action{r.plan.again};
}

VmiController::VmiController(Context& context) : impl_(std::make_shared<Impl>(context)) {
  std::weak_ptr<Impl> weak = impl_;
  runtime::Controller::Reconcile fn = [weak](std::string key) -> Awaitable<Result<Action>> { return Impl::reconcile(weak.lock(), std::move(key)); };
  impl_->queue = std::make_unique<runtime::Controller>(context.clock, runtime::Controller::Options{.name = "vmi"}, std::move(fn));
  context.instances.on_change([weak](const KubevirtInformer::Ptr& old, const KubevirtInformer::Ptr& now) {
    auto impl = weak.lock();
    if (!impl) return;
    if (!now) {
      impl->podless_since.erase(old->meta.uid);
      impl->unarmed_since.erase(old->meta.uid);
    }
    impl->queue->enqueue((now ? now : old)->meta.key());
  });
  context.pods.on_change([weak](const PodInformer::Ptr& old, const PodInformer::Ptr& now) {
    const auto& pod = now ? now : old;
    auto impl = weak.lock();
    if (impl && !pod->instance_name.empty()) impl->queue->enqueue(pod->meta.ns + "/" + pod->instance_name);
  });
  context.claims.on_change([weak](const ClaimInformer::Ptr& old, const ClaimInformer::Ptr& now) {
    auto impl = weak.lock();
    if (!impl || (old && now && old->phase == now->phase)) return;
    for (const auto& i : impl->ctx.instances.by_index("claim", (now ? now : old)->meta.key())) impl->queue->enqueue(i->meta.key());
  });
}

VmiController::~VmiController() = default;

void VmiController::enqueue(std::string key) { impl_->queue->enqueue(std::move(key)); }

Awaitable<void> VmiController::run(StopToken stop) {
  auto impl = impl_;
  co_await impl->queue->run(stop);
}

bool VmiController::idle() const { return impl_->queue->idle(); }

}  // namespace nodevirt::virt_controller::vmi
