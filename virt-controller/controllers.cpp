#include "virt-controller/controllers.hpp"

#include "api/fence.hpp"
#include "api/names.hpp"
#include "pkg/runtime/signal.hpp"

namespace nodevirt::virt_controller {

namespace {

namespace res = k8s::resources;

std::vector<std::string> claim_keys(const KubevirtObject& o) {
  std::vector<std::string> out;
  for (const auto& claim : o.claims) out.push_back(o.meta.ns + "/" + claim);
  return out;
}

std::string launcher_selector() { return std::string(api::kAppLabel) + "=virt-launcher"; }

std::string fence_selector() { return std::string(api::kFenceLabel) + "=true"; }

struct Join {
  runtime::Gate gate;
};

Awaitable<void> through(std::shared_ptr<Join>, Awaitable<void> task, [[maybe_unused]] runtime::Gate::Pass pass) { co_await std::move(task); }

void start(const Executor& executor, std::shared_ptr<Join> join, Awaitable<void> task, const char* name) {
  auto pass = join->gate.enter();
  spawn(executor, through(join, std::move(task), std::move(pass)), name);
}

}  // namespace

Controllers::Controllers(Executor executor, client::Client client, Clock& clock, Options options)
    : executor_(executor),
      machines_(client, clock, {.resource = res::kVirtualMachines}),
      instances_(client, clock, {.resource = res::kVirtualMachineInstances}),
      pods_(client, clock, {.resource = res::kPods, .label_selector = launcher_selector()}),
      nodes_(client, clock, {.resource = res::kNodes}),
      claims_(client, clock, {.resource = res::kPersistentVolumeClaims}),
      leases_(client, clock, {.resource = res::kLeases, .ns = std::string(api::kSystemNamespace), .label_selector = fence_selector()}),
      fences_(client, clock, leases_),
      migration_caches_(client, clock),
      events_(executor, client, clock, "virtualmachine-controller"),
      context_{client, clock, std::move(options), events_, machines_, instances_, pods_, nodes_, claims_, fences_},
      vm_(context_),
      vmi_(context_),
      node_(context_, [this](std::string key) { vmi_.enqueue(std::move(key)); }),
      migration_(context_, migration_caches_),
      evacuation_(context_, migration_caches_),
      volume_move_(context_, migration_caches_) {
  machines_.add_index("claim", claim_keys);
  instances_.add_index("claim", claim_keys);
  instances_.add_index("node", [](const KubevirtObject& o) { return std::vector<std::string>{o.node}; });
  pods_.add_index("instance", [](const PodObject& p) { return std::vector<std::string>{p.instance_uid}; });
  pods_.add_index("migration", [](const PodObject& p) { return std::vector<std::string>{p.migration_uid}; });
  fences_.on_change([this](const std::string& node) {
    for (const auto& i : instances_.by_index("node", node)) vmi_.enqueue(i->meta.key());
  });
}

Awaitable<void> Controllers::follow(StopToken stop) {
  auto join = std::make_shared<Join>();
  start(executor_, join, machines_.run(stop), "machines");
  start(executor_, join, instances_.run(stop), "instances");
  start(executor_, join, pods_.run(stop), "pods");
  start(executor_, join, nodes_.run(stop), "nodes");
  start(executor_, join, claims_.run(stop), "claims");
  start(executor_, join, leases_.run(stop), "leases");
  start(executor_, join, migration_caches_.migrations.run(stop), "migrations");
  start(executor_, join, migration_caches_.policies.run(stop), "migration policies");
  start(executor_, join, migration_caches_.kubevirts.run(stop), "kubevirts");
  start(executor_, join, migration_caches_.namespaces.run(stop), "namespaces");
  co_await join->gate.drained();
}

Awaitable<void> Controllers::lead(StopToken stop) {
  bool complete = co_await machines_.synced(stop);
  complete = complete && co_await instances_.synced(stop);
  complete = complete && co_await pods_.synced(stop);
  complete = complete && co_await nodes_.synced(stop);
  complete = complete && co_await claims_.synced(stop);
  complete = complete && co_await leases_.synced(stop);
  complete = complete && co_await migration_caches_.synced(stop);
  if (!complete) co_return;
  leading_ = true;
  co_await run_all(stop);
  leading_ = false;
}

Awaitable<void> Controllers::run_all(StopToken stop) {
  auto join = std::make_shared<Join>();
  start(executor_, join, vm_.run(stop), "vm");
  start(executor_, join, vmi_.run(stop), "vmi");
  start(executor_, join, node_.run(stop), "node");
  start(executor_, join, migration_.run(stop), "migration");
  start(executor_, join, evacuation_.run(stop), "evacuation");
  start(executor_, join, volume_move_.run(stop), "volume move");
  co_await join->gate.drained();
}

bool Controllers::synced() const {
  return machines_.has_synced() && instances_.has_synced() && pods_.has_synced() && nodes_.has_synced() && claims_.has_synced() &&
         leases_.has_synced() && migration_caches_.has_synced();
}

bool Controllers::idle() const { return vm_.idle() && vmi_.idle() && node_.idle() && migration_.idle() && evacuation_.idle() && volume_move_.idle(); }

}  // namespace nodevirt::virt_controller
