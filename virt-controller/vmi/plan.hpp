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
  RemoveFinalizer,  ///< after the server confirmed that there is no pod
};

struct Observation {
  std::string phase;
  bool deleting = false, finalized = false;   ///< finalized: kVmiFinalizer is there
  std::vector<PodInformer::Ptr> pods;         ///< all launcher pods of this instance's uid
  std::string missing_claim;                  ///< a claim that its volumes name and that is not there
  bool pod_pending = false;                   ///< we created the pod, and the watch has not shown it yet
  bool node_dead = false;                     ///< its node is gone, or its heartbeat is too old
  Clock::Duration podless{};                  ///< handed over, and for so long without a pod that lives

  bool final() const { return phase == "Succeeded" || phase == "Failed"; }
  bool handed_over() const { return phase == "Scheduled" || phase == "Running"; }
  /// The pod that counts: one that lives before one that ended.
  PodInformer::Ptr pod() const;
};

struct Plan {
  Step step = Step::None;
  std::optional<Clock::Duration> again;
};

/// virt-handler reports the end of an instance whose pod ended; when it has not for so long (it may be down),
/// we do: a pod that the kubelet or the pod runner calls ended has no process left.
inline constexpr Clock::Duration kHandlerSilence = std::chrono::seconds(60);

Plan plan(const Observation& seen);

}  // namespace nodevirt::virt_controller::vmi
