// What the scheduler reads of pods, nodes, claims and volumes.
#pragma once
#include <map>
#include <string>
#include <vector>

#include "api/quantity.hpp"
#include "pkg/k8s/selector.hpp"
#include "pkg/runtime/informer.hpp"

namespace nodevirt::scheduler {

using Resources = std::map<std::string, api::Quantity>;

/// One term of a node selector: all its expressions and fields must match. A term without any matches nothing.
struct NodeTerm {
  k8s::LabelSelector labels;
  std::vector<k8s::LabelRequirement> fields;   ///< metadata.name only
  bool nothing = false;
  bool matches(const std::string& node, const k8s::Labels& node_labels) const;
};
/// Terms are alternatives. Errors name the term.
Result<std::vector<NodeTerm>> node_terms(const Json& terms);

struct PodTerm {
  k8s::LabelSelector selector;
  std::vector<std::string> namespaces;         ///< with the pod's own filled in when nothing else is said
  bool all_namespaces = false;                 ///< namespaceSelector {}
  k8s::LabelSelector namespace_selector;
  bool has_namespace_selector = false;
  std::string topology_key;
  std::int64_t weight = 0;                     ///< of preferred terms
};

struct Toleration {
  std::string key, op, value, effect;
};
struct Taint {
  std::string key, value, effect;
  friend bool operator==(const Taint&, const Taint&) = default;
};
struct HostPort {
  std::string protocol, ip;
  std::int64_t port = 0;
};
struct SpreadConstraint {
  std::int64_t max_skew = 1;
  std::string topology_key;
  k8s::LabelSelector selector;
};

struct PodView {
  runtime::ObjectMeta meta;
  std::string node, phase, scheduler_name, unschedulable_message;
  std::string created;
  std::int64_t priority = 0;
  bool gated = false;
  Resources requests;
  std::map<std::string, std::string> node_selector;
  bool has_required_nodes = false;
  std::vector<NodeTerm> required_nodes;
  std::vector<std::pair<std::int64_t, NodeTerm>> preferred_nodes;
  std::vector<PodTerm> affinity, anti_affinity, preferred_affinity, preferred_anti_affinity;
  std::vector<Toleration> tolerations;
  std::vector<HostPort> host_ports;
  std::vector<SpreadConstraint> spread;        ///< DoNotSchedule ones
  std::vector<std::string> claims;

  bool finished() const { return phase == "Succeeded" || phase == "Failed"; }
  static Result<PodView> decode(const Json& object);
};

struct NodeView {
  runtime::ObjectMeta meta;
  Resources allocatable;
  std::vector<Taint> taints;
  bool unschedulable = false;
  static Result<NodeView> decode(const Json& object);
  /// The same to the scheduler: heartbeats make no difference.
  bool same_place(const NodeView& o) const {
    return allocatable == o.allocatable && taints == o.taints && unschedulable == o.unschedulable && meta.labels == o.meta.labels;
  }
};

struct ClaimView {
  runtime::ObjectMeta meta;
  std::string volume, storage_class, phase, selected_node;
  static Result<ClaimView> decode(const Json& object);
};

struct VolumeView {
  runtime::ObjectMeta meta;
  bool has_affinity = false;
  std::vector<NodeTerm> affinity;
  static Result<VolumeView> decode(const Json& object);
};

struct ClassView {
  runtime::ObjectMeta meta;
  bool waits_for_consumer = false;
  static Result<ClassView> decode(const Json& object);
};

}  // namespace nodevirt::scheduler
