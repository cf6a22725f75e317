// What to do next for one instance, as far as it is virt-controller's: everything until it is handed
// over, and what is left when it ended. Pure.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "virt-controller/objects.hpp"

namespace nodevirt::virt_controller::vmi {

enum class Step {
  None,
  Initialize,       ///< phase Pending, and the finalizer
  CreatePod,
  DeletePods,
  ConfirmPodGone,   ///< the cache has no pod where there should be one: the server itself is asked
  Fence,            ///< the guest is known to be dead, or never to have been started, once the server has confirmed it: the instance has failed
  DropPods,         ///< never handed over, on a node that does not answer: no guest was started in them, so nobody waits for that node
  ForcePods,        ///< the same of an instance that has ended: its pods are deleted without waiting for their node
  RemoveFinalizer,  ///< after the server confirmed that there is no pod
};

struct Observation {
  std::string phase;
  bool deleting = false, finalized = false;   ///< finalized: kVmiFinalizer is there
  std::vector<PodInformer::Ptr> pods;         ///< all launcher pods of this instance's uid
  std::string missing_claim;                  ///< a claim that its volumes name and that is not there
  std::string node;                           ///< status.nodeName: where the guest is
  bool migrating = false;                     ///< its migration is under way, and the target's pod lives: the guest may be there already
  bool pod_pending = false;                   ///< we created the pod, and the watch has not shown it yet
  bool stranded = false;                      ///< never handed over, and the node of its pod is gone or does not answer
  bool node_dead = false;                     ///< its node is gone, or its heartbeat is too old
  std::optional<Clock::Duration> fence_left;  ///< until its pods' guests are dead for certain (fence/deadline.hpp)
  /// Handed over, asks for a fence, and virt-handler has not armed it: until nobody waits for that any longer.
  std::optional<Clock::Duration> unarmed_left;
  bool never_armed = false;                   ///< it has failed for that
  Clock::Duration podless{};                  ///< handed over, and for so long without a pod that lives

  bool final() const { return phase == "Succeeded" || phase == "Failed"; }
  bool fenced() const { return fence_left && *fence_left <= Clock::Duration::zero(); }
  bool given_up() const { return unarmed_left && *unarmed_left <= Clock::Duration::zero(); }
  bool handed_over() const { return phase == "Scheduled" || phase == "Running"; }
  /// The pod that counts: while the guest is migrated, the one on its node; one that lives before one that ended.
  PodInformer::Ptr pod() const;
};

struct Plan {
  Step step = Step::None;
  std::optional<Clock::Duration> again;
};

/// virt-handler reports the end of an instance whose pod ended; when it has not for so long (it may be down),
/// we do: a pod that the kubelet or the pod runner calls ended has no process left.
inline constexpr Clock::Duration kHandlerSilence = std::chrono::seconds(60);

/// Why an instance failed whose fence was not armed in time; written before its pods are deleted without their node.
inline constexpr const char* kNeverArmed = "FenceNeverArmed";

/// How often the node of a pod that does not run yet is looked at.
inline constexpr Clock::Duration kLookAtNode = std::chrono::seconds(30);

Plan plan(const Observation& seen);

}  // namespace nodevirt::virt_controller::vmi
