// Where a pod goes: a pure function of the pod and a snapshot.
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "standalone/scheduler/views.hpp"

namespace nodevirt::scheduler {

/// A pod that takes up room: bound, or about to be bound, and not finished.
struct PlacedPod {
  std::shared_ptr<const PodView> pod;
  std::string node;
};

struct Snapshot {
  std::vector<std::shared_ptr<const NodeView>> nodes;
  std::vector<PlacedPod> pods;
  std::map<std::string, std::shared_ptr<const ClaimView>> claims;     ///< by ns/name
  std::map<std::string, std::shared_ptr<const VolumeView>> volumes;
  std::map<std::string, std::shared_ptr<const ClassView>> classes;
  std::map<std::string, k8s::Labels> namespaces;                      ///< their labels
};

struct Decision {
  std::string node;                          ///< empty: nowhere
  std::string message;                       ///< why not, as kube-scheduler says it
  std::vector<std::string> claims_to_place;  ///< ns/name of claims that wait for the choice of a node
};

Decision schedule(const PodView& pod, const Snapshot& snapshot);

/// Why the pod does not fit on the node; empty when it does. What schedule() asks of each node.
std::vector<std::string> reasons_against(const PodView& pod, const NodeView& node, const Snapshot& snapshot);
/// Higher is better.
double score(const PodView& pod, const NodeView& node, const Snapshot& snapshot);

bool tolerates(const std::vector<Toleration>& tolerations, const Taint& taint);
/// The other pod is one that the term speaks of.
bool speaks_of(const PodTerm& term, const PodView& other, const Snapshot& snapshot);
/// What is in use on a node.
Resources used_on(const std::string& node, const Snapshot& snapshot, std::int64_t& pods);

}  // namespace nodevirt::scheduler
