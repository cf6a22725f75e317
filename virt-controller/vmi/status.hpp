// What virt-controller writes into an instance. Pure.
#pragma once
#include "virt-controller/vmi/plan.hpp"

namespace nodevirt::virt_controller::vmi {

struct StatusInput {
  const Json& object;               ///< the instance as stored
  const Observation& seen;
  std::optional<Error> failure;     ///< of this reconcile: the pod could not be made
  bool pod_confirmed_gone = false;  ///< the server said so
  bool fenced = false;              ///< the server has confirmed that the fence deadline passed
  bool never_armed = false;         ///< ... that virt-handler has not armed its fence for too long
  unsigned launcher_uid = 0;
  std::string launcher_image;
  std::map<std::string, Json> claims;   ///< by name: persistentVolumeClaimInfo of those that are bound
  Clock::WallTime now;
};

struct EventText {
  std::string type, reason, message;
  friend bool operator==(const EventText&, const EventText&) = default;
};

struct StatusOutcome {
  Json status;
  std::string node_label;            ///< not empty: the label kubevirt.io/nodeName is to be set
  std::string fence_at_start;        ///< not empty: the annotation of that name is to be set
  std::vector<EventText> events;     ///< to send when it is written
};

StatusOutcome compute_status(const StatusInput& in);

/// The condition kubevirt.io/virtual-machine-unpaused that the pod should carry; nothing when it does already.
std::optional<Json> gate_patch(const Json& object, const PodObject& pod, Clock::WallTime now);

}  // namespace nodevirt::virt_controller::vmi
