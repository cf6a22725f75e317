// A template that was changed while its guest runs: what reaches the guest's instance now, and what waits for a
// restart. Pure.
//
// As in KubeVirt: node selector, affinity and tolerations go to the instance at once and count at its next migration;
// claims go with updateVolumesStrategy Migration (volumes.hpp); labels and annotations of the template say nothing
// about the guest. Processors and memory are not changed while it runs.
#pragma once
#include "pkg/base/json.hpp"

namespace nodevirt::virt_controller::vm {

struct LiveUpdate {
  bool restart_required = false;
  bool same_template = false;   ///< nothing at all is different
  Json patch;                   ///< a JSON patch of the instance; an empty array: nothing to do
};

/// `started_from`: the machine's spec when the instance was made (its revision).
LiveUpdate compare_with_running(const Json& machine, const Json& started_from, const Json& instance);

}  // namespace nodevirt::virt_controller::vm
