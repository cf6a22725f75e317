#include "standalone/scheduler/views.hpp"

namespace nodevirt::scheduler {
namespace {

constexpr std::size_t kMaxItems = 1024;   // of any list in an object: the server bounds objects, not lists

/// Calls f for each element of the array at `path`, if there is one.
template <class F>
void each(const Json& value, std::initializer_list<std::string_view> path, F f) {
  const Json* list = find(value, path);
  if (!list || !list->is_array()) return;
  std::size_t n = 0;
  for (const Json& item : *list) {
    if (++n > kMaxItems) return;
    f(item);
  }
}

/// A number or a string, as quantities may be written.
std::string scalar(const Json& v) { return v.is_string() ? v.get<std::string>() : v.is_number() ? v.dump() : ""; }

Resources resources(const Json* map) {
  Resources out;
  if (map && map->is_object())
    for (const auto& [name, value] : map->items())
      if (auto q = api::Quantity::parse(scalar(value)); q.ok()) out[name] = *q;
  return out;
}

/// A limit stands for a request that is missing.
Resources container_requests(const Json& container) {
  Resources out = resources(find(container, {"resources", "limits"}));
  for (auto& [name, q] : resources(find(container, {"resources", "requests"}))) out[name] = q;
  return out;
}

Resources pod_requests(const Json& pod) {
  Resources sum;
  each(pod, {"spec", "containers"}, [&](const Json& c) {
    for (auto& [name, q] : container_requests(c)) sum[name] += q;
  });
  // Those that keep running (sidecars) add up; the others run one after the other before the rest.
  Resources sidecars, most;
  each(pod, {"spec", "initContainers"}, [&](const Json& c) {
    Resources r = container_requests(c);
    if (string_at(c, {"restartPolicy"}) == "Always") {
      for (auto& [name, q] : r) sidecars[name] += q;
      return;
    }
    for (auto& [name, q] : r) {
      api::Quantity peak = q;
      if (auto it = sidecars.find(name); it != sidecars.end()) peak += it->second;
      if (most[name] < peak) most[name] = peak;
    }
  });
  for (auto& [name, q] : sidecars) sum[name] += q;
  for (auto& [name, q] : most)
    if (sum[name] < q) sum[name] = q;
  for (auto& [name, q] : resources(find(pod, {"spec", "overhead"}))) sum[name] += q;
  return sum;
}

Result<NodeTerm> node_term(const Json& term) {
  NodeTerm t;
  const Json* expressions = find(term, {"matchExpressions"});
  const Json* fields = find(term, {"matchFields"});
  const bool has_expressions = expressions && expressions->is_array() && !expressions->empty();
  const bool has_fields = fields && fields->is_array() && !fields->empty();
  t.nothing = !has_expressions && !has_fields;
  if (has_expressions) {
    NV_TRY(t.labels, k8s::LabelSelector::from_expressions(*expressions));
  }
  if (has_fields) {
    NV_TRY(auto parsed, k8s::LabelSelector::from_expressions(*fields));
    t.fields = parsed.requirements();
  }
  return t;
}

Result<PodTerm> pod_term(const Json& term, const std::string& own_namespace) {
  PodTerm t;
  t.topology_key = string_at(term, {"topologyKey"});
  const Json* selector = find(term, {"labelSelector"});
  NV_TRY(t.selector, k8s::LabelSelector::from_json(selector ? *selector : Json()));
  each(term, {"namespaces"}, [&](const Json& n) { t.namespaces.push_back(scalar(n)); });
  if (const Json* ns = find(term, {"namespaceSelector"}); ns && ns->is_object()) {
    NV_TRY(t.namespace_selector, k8s::LabelSelector::from_json(*ns));
    t.has_namespace_selector = true;
    t.all_namespaces = t.namespace_selector.empty();
  } else if (t.namespaces.empty()) {
    t.namespaces.push_back(own_namespace);
  }
  return t;
}

Result<void> read_pod_terms(const Json& pod, std::string_view kind, const std::string& ns, std::vector<PodTerm>& required,
                            std::vector<PodTerm>& preferred) {
  Result<void> first;
  auto keep = [&](const Json& term, std::int64_t weight, std::vector<PodTerm>& into) {
    auto t = pod_term(term, ns);
    if (!t.ok()) {
      if (first.ok()) first = t.error().with_context(kind);
      return;
    }
    t->weight = weight;
    into.push_back(std::move(*t));
  };
  each(pod, {"spec", "affinity", kind, "requiredDuringSchedulingIgnoredDuringExecution"}, [&](const Json& t) { keep(t, 0, required); });
  each(pod, {"spec", "affinity", kind, "preferredDuringSchedulingIgnoredDuringExecution"}, [&](const Json& t) {
    if (const Json* inner = find(t, {"podAffinityTerm"})) keep(*inner, int_at(t, {"weight"}), preferred);
  });
  return first;
}

Result<void> read_node_affinity(const Json& pod, PodView& p) {
  if (const Json* required = find(pod, {"spec", "affinity", "nodeAffinity", "requiredDuringSchedulingIgnoredDuringExecution"});
      required && required->is_object()) {
    p.has_required_nodes = true;
    const Json* terms = find(*required, {"nodeSelectorTerms"});
    NV_TRY(p.required_nodes, node_terms(terms ? *terms : Json::array()));
  }
  Result<void> first;
  each(pod, {"spec", "affinity", "nodeAffinity", "preferredDuringSchedulingIgnoredDuringExecution"}, [&](const Json& t) {
    const Json* preference = find(t, {"preference"});
    auto term = node_term(preference ? *preference : Json::object());
    if (term.ok()) p.preferred_nodes.emplace_back(int_at(t, {"weight"}), std::move(*term));
    else if (first.ok()) first = term.error().with_context("nodeAffinity");
  });
  return first;
}

}  // namespace

bool NodeTerm::matches(const std::string& node, const k8s::Labels& node_labels) const {
  if (nothing || !labels.matches(node_labels)) return false;
  return std::all_of(fields.begin(), fields.end(), [&](const auto& f) { return f.key == "metadata.name" && f.matches({{f.key, node}}); });
}

Result<std::vector<NodeTerm>> node_terms(const Json& terms) {
  std::vector<NodeTerm> out;
  if (!terms.is_array()) return out;
  for (const Json& t : terms) {
    NV_TRY(NodeTerm term, node_term(t));
    out.push_back(std::move(term));
    if (out.size() >= kMaxItems) break;
  }
  return out;
}

Result<PodView> PodView::decode(const Json& o) {
  PodView p;
  p.meta = runtime::ObjectMeta::from_json(o);
  p.created = string_at(o, {"metadata", "creationTimestamp"});
  p.node = string_at(o, {"spec", "nodeName"});
  p.phase = string_at(o, {"status", "phase"});
  p.scheduler_name = string_at(o, {"spec", "schedulerName"}, "default-scheduler");
  p.priority = int_at(o, {"spec", "priority"});
  each(o, {"spec", "schedulingGates"}, [&](const Json&) { p.gated = true; });
  p.requests = pod_requests(o);
  if (const Json* s = find(o, {"spec", "nodeSelector"}); s && s->is_object())
    for (const auto& [k, v] : s->items()) p.node_selector[k] = scalar(v);
  NV_TRY_VOID(read_node_affinity(o, p));
  NV_TRY_VOID(read_pod_terms(o, "podAffinity", p.meta.ns, p.affinity, p.preferred_affinity));
  NV_TRY_VOID(read_pod_terms(o, "podAntiAffinity", p.meta.ns, p.anti_affinity, p.preferred_anti_affinity));
  each(o, {"spec", "tolerations"}, [&](const Json& t) {
    p.tolerations.push_back({string_at(t, {"key"}), string_at(t, {"operator"}, "Equal"), string_at(t, {"value"}), string_at(t, {"effect"})});
  });
  each(o, {"spec", "containers"}, [&](const Json& c) {
    each(c, {"ports"}, [&](const Json& port) {
      if (auto n = int_at(port, {"hostPort"}); n > 0)
        p.host_ports.push_back({string_at(port, {"protocol"}, "TCP"), string_at(port, {"hostIP"}), n});
    });
  });
  each(o, {"spec", "volumes"}, [&](const Json& v) {
    if (auto name = string_at(v, {"persistentVolumeClaim", "claimName"}); !name.empty()) p.claims.push_back(p.meta.ns + "/" + name);
  });
  Result<void> first;
  each(o, {"spec", "topologySpreadConstraints"}, [&](const Json& t) {
    if (string_at(t, {"whenUnsatisfiable"}) != "DoNotSchedule") return;
    const Json* selector = find(t, {"labelSelector"});
    auto s = k8s::LabelSelector::from_json(selector ? *selector : Json());
    if (s.ok()) p.spread.push_back({std::max<std::int64_t>(1, int_at(t, {"maxSkew"}, 1)), string_at(t, {"topologyKey"}), std::move(*s)});
    else if (first.ok()) first = s.error();
  });
  if (!first.ok()) return first.error();
  each(o, {"status", "conditions"}, [&](const Json& c) {
    if (string_at(c, {"type"}) == "PodScheduled" && string_at(c, {"status"}) == "False") p.unschedulable_message = string_at(c, {"message"});
  });
  return p;
}

Result<NodeView> NodeView::decode(const Json& o) {
  NodeView n;
  n.meta = runtime::ObjectMeta::from_json(o);
  n.allocatable = resources(find(o, {"status", "allocatable"}));
  n.unschedulable = bool_at(o, {"spec", "unschedulable"});
  each(o, {"spec", "taints"}, [&](const Json& t) { n.taints.push_back({string_at(t, {"key"}), string_at(t, {"value"}), string_at(t, {"effect"})}); });
  return n;
}

Result<ClaimView> ClaimView::decode(const Json& o) {
  ClaimView c;
  c.meta = runtime::ObjectMeta::from_json(o);
  c.volume = string_at(o, {"spec", "volumeName"});
  c.storage_class = string_at(o, {"spec", "storageClassName"});
  c.phase = string_at(o, {"status", "phase"});
  c.selected_node = string_at(o, {"metadata", "annotations", "volume.kubernetes.io/selected-node"});
  return c;
}

Result<VolumeView> VolumeView::decode(const Json& o) {
  VolumeView v;
  v.meta = runtime::ObjectMeta::from_json(o);
  if (const Json* required = find(o, {"spec", "nodeAffinity", "required"}); required && required->is_object()) {
    v.has_affinity = true;
    const Json* terms = find(*required, {"nodeSelectorTerms"});
    NV_TRY(v.affinity, node_terms(terms ? *terms : Json::array()));
  }
  return v;
}

Result<ClassView> ClassView::decode(const Json& o) {
  ClassView c;
  c.meta = runtime::ObjectMeta::from_json(o);
  c.waits_for_consumer = string_at(o, {"volumeBindingMode"}) == "WaitForFirstConsumer";
  return c;
}

}  // namespace nodevirt::scheduler
