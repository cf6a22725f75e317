// The launcher pod that an instance is to be moved into. Pure; golden-tested.
#pragma once
#include "pkg/k8s/selector.hpp"
#include "virt-controller/vmi/pod.hpp"

namespace nodevirt::virt_controller::migration {

struct TargetInput {
  const Json& instance;                   ///< as stored
  const api::Instance& view;              ///< the same
  const Json& migration;                  ///< the VMIM
  k8s::Labels source_labels;              ///< labels of the source's node
  std::string source_node;
};

/// The instance's pod, with the migration's uid as a label, never on the source's node, and only where a guest of
/// the source's processor and accelerator can go on.
Result<Json> render_target_pod(const TargetInput& in, const vmi::PodOptions& options);

/// The same migration always has the same pod.
std::string target_pod_name(const std::string& instance_name, const std::string& migration_uid);

/// What the target's node must have, from the labels of the source's node: its accelerator; the vendor of its
/// processor; and for the model host-model what virt-handler says of it (host-model-cpu.node.kubevirt.io/MODEL
/// becomes cpu-model-migration.node.kubevirt.io/MODEL, host-model-required-features.node.kubevirt.io/F becomes
/// cpu-feature.node.kubevirt.io/F); for a named model that the target has it (cpu-model.node.kubevirt.io/MODEL).
Json target_selector(const api::Instance& view, const k8s::Labels& source_labels);

/// Why none of the nodes can take a guest with such a selector, by their processors and accelerators: which of them
/// lacks what. Empty when one could. `nodes`: all but the source's, by name.
std::string processor_obstacle(const Json& selector, const std::map<std::string, k8s::Labels>& nodes);

}  // namespace nodevirt::virt_controller::migration
