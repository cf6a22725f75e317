// What the informers keep: metadata, the few fields that indexes and other objects' plans read, and for
// the controller's own kinds the compact text.
#pragma once
#include <string>
#include <vector>

#include "api/vmi.hpp"
#include "pkg/runtime/informer.hpp"

namespace nodevirt::virt_controller {

/// A VirtualMachine or a VirtualMachineInstance.
struct KubevirtObject {
  runtime::ObjectMeta meta;
  std::string text;                   ///< compact JSON, whole
  std::string phase;                  ///< an instance's phase, or a machine's printableStatus
  std::string node;                   ///< an instance's status.nodeName
  std::vector<std::string> claims;    ///< persistent volume claims that its volumes name
  bool moves_volumes = false;         ///< an instance's status.migratedVolumes is not empty
  Json json() const;
  static Result<KubevirtObject> decode(const Json& object);
};

/// A launcher pod.
struct PodObject {
  runtime::ObjectMeta meta;
  std::string instance_uid, instance_name;
  std::string migration_uid;                     ///< of the VMIM that it was made for as its target; it stays
  std::int64_t priority = 0;
  std::vector<std::string> claims;               ///< that its volumes name, sorted
  std::string phase, node, qos_class, reason, message;
  std::vector<api::Condition> conditions;
  std::string waiting_reason, waiting_message;   ///< of the first container that waits for something worth telling
  bool compute_running = false, gated = false;
  bool deleting() const { return !meta.deletion_timestamp.empty(); }
  bool ended() const { return phase == "Succeeded" || phase == "Failed"; }
  const api::Condition* condition(std::string_view type) const;
  static Result<PodObject> decode(const Json& object);
};

struct NodeObject {
  runtime::ObjectMeta meta;                      ///< of labels and annotations only what is looked at
  bool unschedulable = false;
  std::vector<std::string> taints;               ///< keys of those that keep new pods away
  std::string heartbeat() const;
  static Result<NodeObject> decode(const Json& object);
};

struct ClaimObject {
  runtime::ObjectMeta meta;
  std::string phase;
  bool block = false;
  Json info;                                     ///< as in an instance's persistentVolumeClaimInfo
  bool bound() const { return phase == "Bound"; }
  std::int64_t bytes() const;                    ///< what it holds; before it is bound, what it asks for
  static Result<ClaimObject> decode(const Json& object);
};

/// A node's fence.
struct LeaseObject {
  runtime::ObjectMeta meta;                      ///< without annotations
  std::map<std::string, std::int64_t> fences;    ///< api::fence_entries
  static Result<LeaseObject> decode(const Json& object);
};

/// Names of claims that a pod template's or an instance's spec uses, each once.
std::vector<std::string> claims_of(const Json& instance_spec);

using KubevirtInformer = runtime::Informer<KubevirtObject>;
using PodInformer = runtime::Informer<PodObject>;
using NodeInformer = runtime::Informer<NodeObject>;
using ClaimInformer = runtime::Informer<ClaimObject>;
using LeaseInformer = runtime::Informer<LeaseObject>;

}  // namespace nodevirt::virt_controller

extern template class nodevirt::runtime::Informer<nodevirt::virt_controller::KubevirtObject>;
extern template class nodevirt::runtime::Informer<nodevirt::virt_controller::PodObject>;
extern template class nodevirt::runtime::Informer<nodevirt::virt_controller::NodeObject>;
extern template class nodevirt::runtime::Informer<nodevirt::virt_controller::ClaimObject>;
extern template class nodevirt::runtime::Informer<nodevirt::virt_controller::LeaseObject>;
