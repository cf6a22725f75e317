// How a migration stands, from the caches alone.
#include <algorithm>

#include "api/names.hpp"
#include "virt-controller/migration/controller_impl.hpp"
#include "virt-controller/migration/settings.hpp"
#include "virt-controller/migration/status.hpp"
#include "virt-controller/migration/target_pod.hpp"
#include "virt-controller/status_patch.hpp"

namespace nodevirt::virt_controller::migration {

namespace {

Clock::Duration limit_of(const Json& object, std::string_view annotation, Clock::Duration fallback) {
  std::string text = string_at(object, {"metadata", "annotations", annotation});
  if (text.empty() || text.size() > 9 || text.find_first_not_of("0123456789") != std::string::npos) return fallback;
  return std::chrono::seconds(std::stoll(text));
}

}  // namespace

QueueLimits MigrationController::Impl::limits() const {
  api::MigrationConfig config = api::cluster_migration_config(kubevirt_object(caches.kubevirts));
  return {config.parallel_migrations_per_cluster, config.parallel_outbound_migrations_per_node};
}

std::vector<QueueEntry> MigrationController::Impl::unfinished() const {
  std::vector<QueueEntry> out;
  for (const auto& m : caches.migrations.list()) {
    if (m->final()) continue;
    QueueEntry e{m->meta.uid, m->instance_key(), "", m->created, priority_value(m->priority)};
    e.active = m->active() || begun.contains(m->meta.uid);
    auto instance = ctx.instances.get(e.instance);
    if (instance) e.source_node = instance->node;
    e.eligible = !m->deleting() && instance && instance->phase == "Running" && instance->meta.deletion_timestamp.empty();
    out.push_back(std::move(e));
  }
  return out;
}

void MigrationController::Impl::look_at_instance(Round& r) {
  Observation& s = r.seen;
  auto cached = ctx.instances.get(r.cached->instance_key());
  s.instance = cached != nullptr;
  if (!cached) return;
  r.instance = cached->json();
  s.instance_phase = cached->phase;
  s.instance_node = cached->node;
  s.instance_deleting = !cached->meta.deletion_timestamp.empty();
  s.state = handed_over(*r.instance, r.uid);
  s.other_under_way = other_under_way(*r.instance, r.uid);
  if (s.other_under_way) {
    // One whose migration is gone, or has ended without a word there, holds nobody up.
    auto others = caches.migrations.by_index("uid", string_at(*r.instance, {"status", "migrationState", "migrationUid"}));
    s.other_under_way = !others.empty() && !others[0]->final();
  }
  s.label_left = s.final() && s.state.ours && !string_at(*r.instance, {"metadata", "labels", api::kMigrationTargetNodeLabel}).empty();
  if (const Json* c = find_condition(*r.instance, "LiveMigratable"); c && string_at(*c, {"status"}) == "False") {
    s.refused = true;
    s.refusal = fmt::format("Reason: {}, Message: {}", string_at(*c, {"reason"}), string_at(*c, {"message"}));
  }
}

void MigrationController::Impl::look_at_pods(Round& r) {
  Observation& s = r.seen;
  auto pods = ctx.pods.by_index("migration", r.uid);
  if (!pods.empty()) s.target = pods[0];
  if (s.target && r.instance)
    if (const Json* spec = find(*r.instance, {"spec"})) {
      auto claims = claims_of(*spec);
      std::sort(claims.begin(), claims.end());
      s.outdated_target = claims != s.target->claims;
    }
  auto it = made.find(r.uid);
  if (it != made.end() && (s.target || ctx.clock.now() >= it->second)) made.erase(it);
  s.target_pending = made.contains(r.uid);
  std::string left = string_at(r.object, {"status", "migrationState", "sourcePod"});
  if (s.phase != "Succeeded" || left.empty() || (s.target && s.target->meta.name == left)) return;
  auto source = ctx.pods.get(r.ns + "/" + left);
  // Only where the instance is known to be elsewhere, or to be no more.
  if (source && (!s.instance || source->node != s.instance_node)) s.source = source;
}

void MigrationController::Impl::look(Round& r) {
  Observation& s = r.seen;
  s = Observation();
  r.ns = r.cached->meta.ns;
  r.name = r.cached->meta.name;
  r.uid = r.cached->meta.uid;
  s.phase = string_at(r.object, {"status", "phase"});
  s.deleting = r.cached->deleting();
  s.finalized = has_finalizer(r.object, api::kMigrationFinalizer);
  if (const Json* times = find(r.object, {"status", "phaseTransitionTimestamps"}); times && times->is_array())
    for (const auto& t : *times)
      if (string_at(t, {"phase"}) == s.phase)
        if (auto at = parse_time(string_at(t, {"phaseTransitionTimestamp"})); at.ok())
          s.in_phase = std::max<Clock::Duration>(Clock::Duration::zero(), ctx.clock.wall() - *at);
  s.unschedulable_limit = limit_of(r.object, "kubevirt.io/migrationUnschedulablePodTimeoutSeconds", kUnschedulableLimit);
  s.pending_limit = limit_of(r.object, "kubevirt.io/migrationPendingPodTimeoutSeconds", kPendingLimit);
  look_at_instance(r);
  look_at_pods(r);
  if (s.phase == "Pending" && !s.deleting) {
    auto all = unfinished();
    s.rival = !rival_of(all, r.uid).empty();
    auto allowed = limits();
    auto next = may_begin(all, allowed);
    s.turn = begun.contains(r.uid) || std::find(next.begin(), next.end(), r.uid) != next.end();
    if (!s.turn) r.waits = why_it_waits(all, allowed, r.uid);
  }
  if (const api::Condition* placed = s.target ? s.target->condition("PodScheduled") : nullptr;
      s.phase == "Scheduling" && placed && placed->status == "False" && r.instance)
    s.obstacle = obstacle_of(r);
  r.plan = plan(s);
  // Taken before anything is waited for, so that two cannot take the same place.
  if (r.plan.step == Step::CreateTarget) begun.insert(r.uid);
  if (s.phase != "Pending" && !s.phase.empty()) begun.erase(r.uid);
}

std::string MigrationController::Impl::obstacle_of(const Round& r) const {
  auto view = api::decode_instance(*r.instance);
  auto source = ctx.nodes.get(r.seen.instance_node);
  if (!view.ok() || !source) return "";
  std::map<std::string, k8s::Labels> others;
  for (const auto& node : ctx.nodes.list())
    if (node->meta.name != r.seen.instance_node) others.emplace(node->meta.name, node->meta.labels);
  return processor_obstacle(target_selector(*view, source->meta.labels), others);
}

// A pod that the guest left earlier may still be ending on the node that the guest has come back to: the migration before
// tells which one holds it.
PodInformer::Ptr MigrationController::Impl::source_pod(const Round& r) const {
  const Json* before = find(*r.instance, {"status", "migrationState"});
  bool moved = before && bool_at(*before, {"completed"}) && !bool_at(*before, {"failed"});
  std::string holds = before ? string_at(*before, {moved ? "targetPod" : "sourcePod"}) : "";
  PodInformer::Ptr best;
  for (const auto& pod : ctx.pods.by_index("instance", string_at(*r.instance, {"metadata", "uid"}))) {
    if (pod->ended() || pod->node != r.seen.instance_node || (r.seen.target && pod->meta.uid == r.seen.target->meta.uid)) continue;
    if (pod->meta.name == holds) return pod;
    if (!best || (best->deleting() && !pod->deleting())) best = pod;
  }
  return best;
}

}  // namespace nodevirt::virt_controller::migration
