#include "standalone/scheduler/schedule.hpp"

namespace nodevirt::scheduler {
namespace {

const std::string* label(const NodeView& node, const std::string& key) {
  auto it = node.meta.labels.find(key);
  return it == node.meta.labels.end() ? nullptr : &it->second;
}

const NodeView* node_named(const Snapshot& s, const std::string& name) {
  for (const auto& n : s.nodes)
    if (n->meta.name == name) return n.get();
  return nullptr;
}

bool same_domain(const Snapshot& s, const std::string& other_node, const NodeView& node, const std::string& key) {
  const std::string* here = label(node, key);
  const NodeView* other = node_named(s, other_node);
  const std::string* there = other ? label(*other, key) : nullptr;
  return here && there && *here == *there;
}

bool matches_node(const PodView& pod, const NodeView& node) {
  for (const auto& [k, v] : pod.node_selector) {
    const std::string* have = label(node, k);
    if (!have || *have != v) return false;
  }
  if (!pod.has_required_nodes) return true;
  return std::any_of(pod.required_nodes.begin(), pod.required_nodes.end(),
                     [&](const NodeTerm& t) { return t.matches(node.meta.name, node.meta.labels); });
}

bool ports_collide(const PodView& pod, const std::string& node, const Snapshot& s) {
  auto any = [](const std::string& ip) { return ip.empty() || ip == "0.0.0.0"; };
  for (const HostPort& mine : pod.host_ports)
    for (const PlacedPod& p : s.pods) {
      if (p.node != node) continue;
      for (const HostPort& theirs : p.pod->host_ports)
        if (mine.port == theirs.port && mine.protocol == theirs.protocol && (any(mine.ip) || any(theirs.ip) || mine.ip == theirs.ip)) return true;
    }
  return false;
}

bool satisfies_affinity(const PodView& pod, const NodeView& node, const Snapshot& s) {
  for (const PodTerm& term : pod.affinity) {
    bool here = false, anywhere = false;
    for (const PlacedPod& p : s.pods) {
      if (!speaks_of(term, *p.pod, s)) continue;
      anywhere = true;
      here = here || same_domain(s, p.node, node, term.topology_key);
    }
    // The first of a group that wants to be together has nobody to go to.
    if (!here && (anywhere || !speaks_of(term, pod, s) || !label(node, term.topology_key))) return false;
  }
  return true;
}

bool satisfies_anti_affinity(const PodView& pod, const NodeView& node, const Snapshot& s) {
  for (const PodTerm& term : pod.anti_affinity)
    for (const PlacedPod& p : s.pods)
      if (speaks_of(term, *p.pod, s) && same_domain(s, p.node, node, term.topology_key)) return false;
  return true;
}

bool others_object(const PodView& pod, const NodeView& node, const Snapshot& s) {
  for (const PlacedPod& p : s.pods)
    for (const PodTerm& term : p.pod->anti_affinity)
      if (speaks_of(term, pod, s) && same_domain(s, p.node, node, term.topology_key)) return true;
  return false;
}

bool spreads(const PodView& pod, const NodeView& node, const Snapshot& s) {
  for (const SpreadConstraint& c : pod.spread) {
    const std::string* here = label(node, c.topology_key);
    if (!here) return false;
    std::map<std::string, std::int64_t> counts;
    for (const auto& n : s.nodes)
      if (const std::string* domain = label(*n, c.topology_key); domain && matches_node(pod, *n)) counts[*domain];
    for (const PlacedPod& p : s.pods) {
      const NodeView* n = node_named(s, p.node);
      const std::string* domain = n ? label(*n, c.topology_key) : nullptr;
      if (domain && counts.contains(*domain) && p.pod->meta.ns == pod.meta.ns && c.selector.matches(p.pod->meta.labels)) ++counts[*domain];
    }
    std::int64_t least = counts.empty() ? 0 : counts.begin()->second;
    for (const auto& [domain, n] : counts) least = std::min(least, n);
    if (counts[*here] + (c.selector.matches(pod.meta.labels) ? 1 : 0) - least > c.max_skew) return false;
  }
  return true;
}

bool volumes_reachable(const PodView& pod, const NodeView& node, const Snapshot& s) {
  for (const std::string& key : pod.claims) {
    auto claim = s.claims.find(key);
    if (claim == s.claims.end() || claim->second->volume.empty()) continue;
    auto volume = s.volumes.find(claim->second->volume);
    if (volume == s.volumes.end() || !volume->second->has_affinity) continue;
    const auto& terms = volume->second->affinity;
    if (std::none_of(terms.begin(), terms.end(), [&](const NodeTerm& t) { return t.matches(node.meta.name, node.meta.labels); })) return false;
  }
  return true;
}

}  // namespace

bool tolerates(const std::vector<Toleration>& tolerations, const Taint& taint) {
  return std::any_of(tolerations.begin(), tolerations.end(), [&](const Toleration& t) {
    if (!t.effect.empty() && t.effect != taint.effect) return false;
    if (t.key.empty()) return t.op == "Exists";
    return t.key == taint.key && (t.op == "Exists" || t.value == taint.value);
  });
}

bool speaks_of(const PodTerm& term, const PodView& other, const Snapshot& s) {
  bool ns = term.all_namespaces || std::find(term.namespaces.begin(), term.namespaces.end(), other.meta.ns) != term.namespaces.end();
  if (!ns && term.has_namespace_selector) {
    auto labels = s.namespaces.find(other.meta.ns);
    ns = labels != s.namespaces.end() && term.namespace_selector.matches(labels->second);
  }
  return ns && term.selector.matches(other.meta.labels);
}

Resources used_on(const std::string& node, const Snapshot& s, std::int64_t& pods) {
  Resources used;
  pods = 0;
  for (const PlacedPod& p : s.pods) {
    if (p.node != node) continue;
    ++pods;
    for (const auto& [name, q] : p.pod->requests) used[name] += q;
  }
  return used;
}

std::vector<std::string> reasons_against(const PodView& pod, const NodeView& node, const Snapshot& s) {
  if (node.unschedulable && !tolerates(pod.tolerations, {"node.kubernetes.io/unschedulable", "", "NoSchedule"}))
    return {"node(s) were unschedulable"};
  if (!matches_node(pod, node)) return {"node(s) didn't match Pod's node affinity/selector"};
  for (const Taint& t : node.taints)
    if (t.effect != "PreferNoSchedule" && !tolerates(pod.tolerations, t))
      return {fmt::format("node(s) had untolerated taint {{{}: {}}}", t.key, t.value)};
  if (ports_collide(pod, node.meta.name, s)) return {"node(s) didn't have free ports for the requested pod ports"};

  std::vector<std::string> missing;
  std::int64_t pods = 0;
  Resources used = used_on(node.meta.name, s, pods);
  auto allocatable = [&](const std::string& name) {
    auto it = node.allocatable.find(name);
    return it == node.allocatable.end() ? api::Quantity() : it->second;
  };
  if (pods + 1 > allocatable("pods").value()) missing.push_back("Too many pods");
  for (const auto& [name, want] : pod.requests) {
    if (want.zero()) continue;
    api::Quantity sum = used[name];
    sum += want;
    if (allocatable(name) < sum) missing.push_back("Insufficient " + name);
  }
  if (!missing.empty()) return missing;
  if (!volumes_reachable(pod, node, s)) return {"node(s) didn't match PersistentVolume's node affinity"};
  if (!spreads(pod, node, s)) return {"node(s) didn't match pod topology spread constraints"};
  if (!satisfies_affinity(pod, node, s)) return {"node(s) didn't match pod affinity rules"};
  if (!satisfies_anti_affinity(pod, node, s)) return {"node(s) didn't match pod anti-affinity rules"};
  if (others_object(pod, node, s)) return {"node(s) didn't satisfy existing pods anti-affinity rules"};
  return {};
}

}  // namespace nodevirt::scheduler
