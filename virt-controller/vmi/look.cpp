// How things stand with an instance, from the caches alone.
#include <algorithm>

#include "api/fence.hpp"
#include "api/names.hpp"
#include "virt-controller/node/heartbeat.hpp"
#include "virt-controller/vmi/controller_impl.hpp"
#include "virt-controller/vmi/status.hpp"

namespace nodevirt::virt_controller::vmi {

namespace {

// A migration has been handed over to the virt-handlers, has not ended, and its target's pod is there.
bool target_lives(const Json& object, const std::vector<PodInformer::Ptr>& pods) {
  const Json* state = find(object, {"status", "migrationState"});
  if (!state || !state->is_object() || bool_at(*state, {"completed"}) || bool_at(*state, {"failed"})) return false;
  std::string uid = string_at(*state, {"migrationUid"});
  return !uid.empty() && std::any_of(pods.begin(), pods.end(), [&](const auto& p) { return p->migration_uid == uid && !p->ended(); });
}

}  // namespace

void VmiController::Impl::look(Round& r) {
  Observation& s = r.seen;
  s = Observation();
  r.ns = string_at(r.object, {"metadata", "namespace"});
  r.name = string_at(r.object, {"metadata", "name"});
  r.uid = string_at(r.object, {"metadata", "uid"});
  s.phase = string_at(r.object, {"status", "phase"});
  s.deleting = !string_at(r.object, {"metadata", "deletionTimestamp"}).empty();
  s.finalized = has_finalizer(r.object, api::kVmiFinalizer);
  s.pods = ctx.pods.by_index("instance", r.uid);
  s.node = string_at(r.object, {"status", "nodeName"});
  s.migrating = target_lives(r.object, s.pods);
  auto it = created.find(r.key);
  if (it != created.end() && (!s.pods.empty() || it->second.uid != r.uid || ctx.clock.now() >= it->second.until)) created.erase(it);
  s.pod_pending = created.contains(r.key);
  if (const Json* spec = find(r.object, {"spec"}))
    for (const auto& claim : claims_of(*spec))
      if (!ctx.claims.get(r.ns + "/" + claim) && s.missing_claim.empty()) s.missing_claim = claim;
  if (s.handed_over() || s.final()) s.fence_left = ctx.fences.time_left(s.pods);
  s.never_armed = s.final() && string_at(r.object, {"status", "reason"}) == kNeverArmed;
  look_at_unarmed(r);
  if (s.node.empty() && !s.pods.empty()) {
    s.stranded = std::all_of(s.pods.begin(), s.pods.end(), [this](const auto& p) {
      if (p->node.empty() || p->ended()) return false;
      auto node = ctx.nodes.get(p->node);
      return !node || node::heartbeat_is_stale(node->heartbeat(), ctx.clock.wall());
    });
  }
  if (s.handed_over()) {
    auto node = ctx.nodes.get(string_at(r.object, {"status", "nodeName"}));
    s.node_dead = !node || node::heartbeat_is_stale(node->heartbeat(), ctx.clock.wall());
    auto pod = s.pod();
    if (pod && !pod->ended()) podless_since.erase(r.uid);
    else s.podless = ctx.clock.now() - podless_since.emplace(r.uid, ctx.clock.now()).first->second;
  } else {
    podless_since.erase(r.uid);
  }
  r.plan = plan(s);
}

void VmiController::Impl::look_at_unarmed(Round& r) {
  Observation& s = r.seen;
  auto annotations = runtime::ObjectMeta::from_json(r.object).annotations;
  bool armed_at_start = annotations.contains(std::string(api::kFenceAtStartAnnotation));  // else its guest may have started without
  std::int64_t seconds = armed_at_start ? api::fence_seconds(annotations).value_or(0) : 0;
  bool lives = std::any_of(s.pods.begin(), s.pods.end(), [](const auto& p) { return !p->ended(); });
  if (s.phase != "Scheduled" || seconds == 0 || !lives || s.fence_left) {
    unarmed_since.erase(r.uid);
    return;
  }
  Clock::Duration waited = ctx.clock.now() - unarmed_since.emplace(r.uid, ctx.clock.now()).first->second;
  Clock::Duration all = std::chrono::seconds(seconds) + fence::margin(seconds) + kHandlerSilence;
  s.unarmed_left = std::max(Clock::Duration::zero(), all - waited);
}

PodOptions VmiController::Impl::pod_options(const Round& r) const {
  PodOptions o{ctx.options.launcher_image, ctx.options.launcher_uid, ctx.options.capability_cache_dir, {}};
  if (const Json* spec = find(r.object, {"spec"}))
    for (const auto& name : claims_of(*spec))
      if (auto claim = ctx.claims.get(r.ns + "/" + name); claim && claim->block) o.block_claims.insert(name);
  return o;
}

}  // namespace nodevirt::virt_controller::vmi
