// Which pods this runner runs, and whether they fit. Pure.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "standalone/podrunner/pod_view.hpp"

namespace nodevirt::podrunner {

/// Why a pod is not run: it becomes Failed with this reason and message.
struct Refusal {
  std::string reason, message;
};

/// Only launcher pods are run: one container of the image `launcher_image`, restartPolicy Never, not
/// privileged, no root, own namespaces, and nothing that would have to be ignored in silence.
std::optional<Refusal> unsupported(const PodView& pod, const std::string& launcher_image);

struct Allocatable {
  api::Quantity cpu, memory;
  std::int64_t pods = 110;
};
/// `others`: the pods that are on the node and not finished, without this one. Kubelet's reasons: OutOfcpu ...
std::optional<Refusal> does_not_fit(const PodView& pod, const std::vector<const PodView*>& others, const Allocatable& node);

}  // namespace nodevirt::podrunner
