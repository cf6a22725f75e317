#include "virt-controller/migration/controller.hpp"

#include <algorithm>

#include "api/names.hpp"
#include "pkg/base/log.hpp"
#include "pkg/k8s/status.hpp"
#include "virt-controller/migration/controller_impl.hpp"
#include "virt-controller/migration/status.hpp"

namespace nodevirt::virt_controller::migration {

namespace {

using k8s::resources::kPods;
using k8s::resources::kVirtualMachineInstanceMigrations;
using runtime::Action;

constexpr std::size_t kToldOfTheirPlace = 50;
constexpr auto kQuotaRetry = std::chrono::seconds(5);
// Keys of migrations have no colon.
constexpr std::string_view kPodKey = "pod:";

// Not an instance's own doing, and gone when somebody makes room.
bool quota_refusal(const Error& e) { return k8s::is_reason(e, "Forbidden") && e.message.find("exceeded quota") != std::string::npos; }

}  // namespace

PodInformer::Ptr MigrationController::Impl::orphan(const std::string& pod_key) const {
  auto pod = ctx.pods.get(pod_key);
  if (!pod || pod->migration_uid.empty() || pod->deleting() || !caches.migrations.by_index("uid", pod->migration_uid).empty()) return nullptr;
  auto instance = ctx.instances.get(pod->meta.ns + "/" + pod->instance_name);
  if (!instance || instance->meta.uid != pod->instance_uid || instance->node.empty() || instance->node == pod->node) return nullptr;
  HandedOver state = handed_over(instance->json(), pod->migration_uid);
  return state.ours && state.started && !state.failed ? nullptr : pod;
}

void MigrationController::Impl::wake_next() {
  auto all = unfinished();
  for (const auto& uid : may_begin(all, limits()))
    for (const auto& m : caches.migrations.by_index("uid", uid)) queue->enqueue(m->meta.key());
  std::size_t told = 0;
  for (const auto& m : caches.migrations.list()) {
    if (m->phase != "Pending") continue;
    if (++told > kToldOfTheirPlace) break;
    queue->enqueue(m->meta.key());
  }
}

// The oldest of the finalised ones of the same instance go.
Awaitable<Result<void>> MigrationController::Impl::sweep(Round* r) {
  std::vector<MigrationInformer::Ptr> ended;
  for (const auto& m : caches.migrations.by_index("instance", r->cached->instance_key()))
    if (m->final() && !m->deleting()) ended.push_back(m);
  if (ended.size() <= kKeptFinalised) co_return Result<void>();
  std::sort(ended.begin(), ended.end(), [](const auto& a, const auto& b) { return std::tie(a->created, a->meta.uid) < std::tie(b->created, b->meta.uid); });
  ended.resize(ended.size() - kKeptFinalised);
  for (const auto& m : ended) {
    client::DeleteOptions options;
    options.uid = m->meta.uid;
    std::string name = m->meta.name;
    auto done = co_await ctx.client.remove(kVirtualMachineInstanceMigrations, r->ns, name, options);
    if (!done.ok() && !k8s::is_not_found(done.error())) co_return done.error().with_context("delete the finalised migration " + name);
  }
  co_return Result<void>();
}

Awaitable<Result<Action>> MigrationController::Impl::remove_orphan(PodInformer::Ptr pod) {
  client::DeleteOptions options;
  options.uid = pod->meta.uid;
  std::string ns = pod->meta.ns, name = pod->meta.name;
  auto done = co_await ctx.client.remove(kPods, ns, name, options);
  if (!done.ok() && !k8s::is_not_found(done.error())) co_return done.error().with_context("delete the orphaned target pod " + name);
  log::info("deleted target pod {}/{}: its migration is gone", ns, name);
  co_return Action{};
}

Awaitable<Result<Action>> MigrationController::Impl::reconcile(std::shared_ptr<Impl> self, std::string key) {
  if (key.starts_with(kPodKey)) {
    auto orphan = self->orphan(key.substr(kPodKey.size()));
    if (!orphan) co_return Action{};
    co_return co_await self->remove_orphan(orphan);
  }
  Round r;
  r.key = key;
  r.cached = self->caches.migrations.get(key);
  if (!r.cached) co_return Action{};
  r.object = r.cached->json();
  self->look(r);
  auto stepped = co_await self->take_step(&r);
  if (!stepped.ok()) {
    const Error& e = stepped.error();
    if (r.plan.step == Step::CreateTarget) self->begun.erase(r.uid);
    if (!quota_refusal(e)) co_return e;
    r.done = false;
    r.quota = e.message;
    r.plan.again = kQuotaRetry;
  }
  if (r.plan.step == Step::RemoveFinalizer && r.seen.deleting) co_return Action{};
  auto written = co_await self->write_status(&r);
  if (written.ok()) {
    Json now = r.object;
    written = co_await self->write_progress(&r, std::move(now));
  }
  if (!written.ok()) {
    if (k8s::is_not_found(written.error())) co_return Action{};
    co_return written.error();
  }
  if (r.seen.final()) {
    auto swept = co_await self->sweep(&r);
    if (!swept.ok()) co_return swept.error();
  }
  co_return Action{r.plan.again};
}

MigrationController::MigrationController(Context& context, Caches& caches) : impl_(std::make_shared<Impl>(context, caches)) {
  std::weak_ptr<Impl> weak = impl_;
  runtime::Controller::Reconcile fn = [weak](std::string key) -> Awaitable<Result<Action>> { return Impl::reconcile(weak.lock(), std::move(key)); };
  impl_->queue = std::make_unique<runtime::Controller>(context.clock, runtime::Controller::Options{.name = "migration"}, std::move(fn));
  auto wake_migrations_of = [weak](const std::string& instance_key) {
    auto impl = weak.lock();
    if (!impl) return;
    for (const auto& m : impl->caches.migrations.by_index("instance", instance_key)) impl->queue->enqueue(m->meta.key());
  };
  caches.migrations.on_change([weak](const MigrationInformer::Ptr& old, const MigrationInformer::Ptr& now) {
    auto impl = weak.lock();
    if (!impl) return;
    impl->queue->enqueue((now ? now : old)->meta.key());
    if (now && !now->final()) return;
    impl->made.erase((now ? now : old)->meta.uid);
    impl->begun.erase((now ? now : old)->meta.uid);
    if (!now || (old && !old->final())) impl->wake_next();
    if (now) return;
    for (const auto& pod : impl->ctx.pods.by_index("migration", old->meta.uid)) impl->queue->enqueue(std::string(kPodKey) + pod->meta.key());
  });
  context.instances.on_change([wake_migrations_of](const KubevirtInformer::Ptr& old, const KubevirtInformer::Ptr& now) {
    wake_migrations_of((now ? now : old)->meta.key());
  });
  context.pods.on_change([weak](const PodInformer::Ptr& old, const PodInformer::Ptr& now) {
    const auto& pod = now ? now : old;
    auto impl = weak.lock();
    auto label = pod->meta.labels.find(std::string(api::kMigrationJobLabel));
    if (!impl || label == pod->meta.labels.end()) return;
    auto migrations = impl->caches.migrations.by_index("uid", label->second);
    for (const auto& m : migrations) impl->queue->enqueue(m->meta.key());
    if (migrations.empty() && now) impl->queue->enqueue(std::string(kPodKey) + pod->meta.key());
  });
  caches.kubevirts.on_change([weak](const auto&, const auto&) {
    if (auto impl = weak.lock(); impl && impl->caches.has_synced()) impl->wake_next();
  });
}

MigrationController::~MigrationController() = default;

Awaitable<void> MigrationController::run(StopToken stop) {
  auto impl = impl_;
  co_await impl->queue->run(stop);
}

bool MigrationController::idle() const { return impl_->queue->idle(); }

}  // namespace nodevirt::virt_controller::migration
