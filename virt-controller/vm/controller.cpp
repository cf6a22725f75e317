#include "virt-controller/vm/controller.hpp"

#include "pkg/k8s/status.hpp"
#include "virt-controller/vm/controller_impl.hpp"

namespace nodevirt::virt_controller::vm {

using runtime::Action;

bool VmController::Impl::is_pending(std::unordered_map<std::string, Pending>& map, const std::string& key) {
  auto it = map.find(key);
  if (it == map.end()) return false;
  if (ctx.clock.now() < it->second.until) return true;
  map.erase(it);
  return false;
}

void VmController::Impl::look(Round& r) {
  r.machine = Machine::of(r.object);
  if (auto cached = ctx.instances.get(r.key)) {
    r.instance_object = cached->json();
    r.instance = Instance::of(*r.instance_object);
    created.erase(r.key);
    if (auto it = deleted.find(r.key); it != deleted.end() && (r.instance->deleting || it->second.uid != r.instance->uid)) deleted.erase(it);
  } else {
    deleted.erase(r.key);
  }
  PlanInput in{.machine = r.machine, .instance = r.instance ? &*r.instance : nullptr, .now = ctx.clock.wall()};
  in.create_pending = is_pending(created, r.key);
  in.delete_pending = is_pending(deleted, r.key);
  r.plan = plan(in);
  r.failure = r.plan.failure;
}

Awaitable<Result<Action>> VmController::Impl::reconcile(std::shared_ptr<Impl> self, std::string key) {
  auto cached = self->ctx.machines.get(key);
  if (!cached) {
    self->created.erase(key);
    self->deleted.erase(key);
    co_return Action{};
  }
  Round r;
  r.key = key;
  r.object = cached->json();
  self->look(r);

  std::optional<Error> first_error;
  if (r.plan.add_finalizer) {
    auto added = co_await self->change_finalizer(&r, true);
    if (!added.ok()) co_return added.error();
  }
  if (r.plan.record_first || r.plan.request_start) {
    auto recorded = co_await self->write_status(&r);
    if (!recorded.ok()) co_return recorded.error();
    r.plan.request_start = false;
  }
  auto stepped = co_await self->take_step(&r);
  if (!stepped.ok()) first_error = stepped.error();
  if (r.plan.step == Step::RemoveFinalizer && stepped.ok()) co_return Action{};
  // What else is to be written (status, revision) waits until the watch shows the instance, and does not stand
  // in the way of its pod.
  if (r.plan.step == Step::Create && stepped.ok()) co_return Action{kEcho};

  auto moved = co_await self->update_volumes(&r);
  if (!moved.ok() && !first_error) first_error = moved.error();
  auto compared = co_await self->compare_template(&r);
  if (!compared.ok() && !first_error) first_error = compared.error();
  // What a watch event will mend by itself is no failure of the machine's.
  if (first_error && !k8s::is_conflict(*first_error) && !k8s::is_failed_test(*first_error) && first_error->reason != "AlreadyExists" &&
      first_error->code != Code::Unavailable)
    r.failure = first_error;
  auto written = co_await self->write_status(&r);
  if (first_error) co_return *first_error;
  if (!written.ok()) {
    if (k8s::is_not_found(written.error())) co_return Action{};
    co_return written.error();
  }
  co_return Action{r.plan.again};
}

VmController::VmController(Context& context) : impl_(std::make_shared<Impl>(context)) {
  std::weak_ptr<Impl> weak = impl_;
  runtime::Controller::Reconcile fn = [weak](std::string key) -> Awaitable<Result<Action>> { return Impl::reconcile(weak.lock(), std::move(key)); };
  impl_->queue = std::make_unique<runtime::Controller>(context.clock, runtime::Controller::Options{.name = "vm"}, std::move(fn));
  auto enqueue = [weak](const KubevirtInformer::Ptr& old, const KubevirtInformer::Ptr& now) {
    // An instance has its machine's name, so its key is the machine's.
    if (auto impl = weak.lock()) impl->queue->enqueue((now ? now : old)->meta.key());
  };
  context.machines.on_change(enqueue);
  context.instances.on_change(enqueue);
  context.claims.on_change([weak](const ClaimInformer::Ptr& old, const ClaimInformer::Ptr& now) {
    auto impl = weak.lock();
    if (!impl || (old && now && old->phase == now->phase)) return;
    for (const auto& m : impl->ctx.machines.by_index("claim", (now ? now : old)->meta.key())) impl->queue->enqueue(m->meta.key());
  });
}

VmController::~VmController() = default;

Awaitable<void> VmController::run(StopToken stop) {
  auto impl = impl_;
  co_await impl->queue->run(stop);
}

bool VmController::idle() const { return impl_->queue->idle(); }

}  // namespace nodevirt::virt_controller::vm
