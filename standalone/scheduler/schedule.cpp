#include "standalone/scheduler/schedule.hpp"

namespace nodevirt::scheduler {
namespace {

/// What keeps the pod from every node, before any is looked at.
std::string claims_problem(const PodView& pod, const Snapshot& s, std::vector<std::string>& to_place) {
  for (const std::string& key : pod.claims) {
    auto it = s.claims.find(key);
    if (it == s.claims.end()) return fmt::format("persistentvolumeclaim \"{}\" not found", key.substr(key.find('/') + 1));
    const ClaimView& claim = *it->second;
    if (!claim.meta.deletion_timestamp.empty()) return fmt::format("persistentvolumeclaim \"{}\" is being deleted", claim.meta.name);
    if (claim.phase == "Lost") return fmt::format("persistentvolumeclaim \"{}\" bound to non-existent persistentvolume \"{}\"", claim.meta.name, claim.volume);
    if (!claim.volume.empty() && claim.phase == "Bound") continue;
    auto cls = s.classes.find(claim.storage_class);
    if (cls == s.classes.end() || !cls->second->waits_for_consumer) return "pod has unbound immediate PersistentVolumeClaims";
    to_place.push_back(key);
  }
  return "";
}

std::string summary(std::size_t nodes, const std::map<std::string, int>& reasons) {
  if (nodes == 0) return "no nodes available to schedule pods";
  std::vector<std::string> parts;
  for (const auto& [reason, count] : reasons) parts.push_back(fmt::format("{} {}", count, reason));
  std::sort(parts.begin(), parts.end());
  return fmt::format("0/{} nodes are available: {}.", nodes, fmt::join(parts, ", "));
}

double share_left(const Resources& used, const PodView& pod, const NodeView& node, const std::string& name) {
  auto get = [&](const Resources& r) {
    auto it = r.find(name);
    return it == r.end() ? 0.0 : static_cast<double>(it->second.milli_value());
  };
  const double all = get(node.allocatable);
  return all <= 0 ? 0 : std::max(0.0, (all - get(used) - get(pod.requests)) / all);
}

}  // namespace

double score(const PodView& pod, const NodeView& node, const Snapshot& s) {
  std::int64_t pods = 0;
  const Resources used = used_on(node.meta.name, s, pods);
  double points = 50 * (share_left(used, pod, node, "cpu") + share_left(used, pod, node, "memory"));
  points -= 0.1 * static_cast<double>(pods);
  for (const auto& [weight, term] : pod.preferred_nodes)
    if (term.matches(node.meta.name, node.meta.labels)) points += static_cast<double>(weight);
  for (const Taint& t : node.taints)
    if (t.effect == "PreferNoSchedule" && !tolerates(pod.tolerations, t)) points -= 200;
  auto in_domain = [&](const PlacedPod& p, const std::string& key) {
    auto here = node.meta.labels.find(key);
    if (here == node.meta.labels.end()) return false;
    for (const auto& n : s.nodes)
      if (n->meta.name == p.node) {
        auto there = n->meta.labels.find(key);
        return there != n->meta.labels.end() && there->second == here->second;
      }
    return false;
  };
  for (const PlacedPod& p : s.pods) {
    for (const PodTerm& t : pod.preferred_affinity)
      if (speaks_of(t, *p.pod, s) && in_domain(p, t.topology_key)) points += static_cast<double>(t.weight);
    for (const PodTerm& t : pod.preferred_anti_affinity)
      if (speaks_of(t, *p.pod, s) && in_domain(p, t.topology_key)) points -= static_cast<double>(t.weight);
  }
  // A volume that is being made for a node stays there as long as the pod fits.
  for (const std::string& key : pod.claims)
    if (auto c = s.claims.find(key); c != s.claims.end() && c->second->selected_node == node.meta.name) points += 1000;
  return points;
}

Decision schedule(const PodView& pod, const Snapshot& s) {
  Decision d;
  if (std::string problem = claims_problem(pod, s, d.claims_to_place); !problem.empty()) {
    d.claims_to_place.clear();
    d.message = s.nodes.empty() ? "no nodes available to schedule pods" : fmt::format("0/{} nodes are available: {}.", s.nodes.size(), problem);
    return d;
  }
  std::map<std::string, int> reasons;
  double best = 0;
  for (const auto& node : s.nodes) {
    auto against = reasons_against(pod, *node, s);
    for (const std::string& r : against) ++reasons[r];
    if (!against.empty()) continue;
    const double points = score(pod, *node, s);
    if (d.node.empty() || points > best || (points == best && node->meta.name < d.node)) {
      best = points;
      d.node = node->meta.name;
    }
  }
  if (d.node.empty()) {
    d.claims_to_place.clear();
    d.message = summary(s.nodes.size(), reasons);
  }
  return d;
}

}  // namespace nodevirt::scheduler
