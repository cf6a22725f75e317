// A pod's status from what is known about it. Pure.
#pragma once
#include <string>

#include "pkg/base/clock.hpp"
#include "standalone/podrunner/pod_view.hpp"

namespace nodevirt::podrunner {

struct ContainerFacts {
  enum class State { Waiting, Running, Terminated } state = State::Waiting;
  std::string reason = "ContainerCreating", message;  ///< of waiting and terminated
  int exit_code = 0;
  std::string started_at, finished_at;                ///< RFC 3339
  bool started = false;                               ///< the startup probe passed, or there is none
  bool ready = false;                                 ///< the readiness probe passes, or there is none
  std::string container_id;
};

struct PodFacts {
  std::string host_ip, pod_ip, start_time;
  bool network_ready = false;
  ContainerFacts container;
  /// A pod that is failed as a whole (refused, evicted): its reason and message.
  std::string failed_reason, failed_message;
};

/// The whole status that the runner owns, for a strategic merge patch: conditions of others (readiness
/// gates) are not in it. A condition that keeps its status keeps its lastTransitionTime.
Json compute_status(const PodView& pod, const PodFacts& facts, const std::string& now);

/// Whether `wanted` says anything that `current` (a pod's status) does not.
bool status_differs(const Json& current, const Json& wanted);

}  // namespace nodevirt::podrunner
