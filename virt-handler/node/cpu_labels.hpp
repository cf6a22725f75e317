// What the node's processor can do, as labels: a guest moves only where all that it was started with is there. Pure but
// for reading and writing the answer.
#pragma once
#include <filesystem>
#include <set>
#include <string>
#include <string_view>

#include "pkg/base/result.hpp"

namespace nodevirt::virt_handler {

/// Every label of this kind on a node is ours: what is not said any more is taken away.
inline constexpr std::string_view kCpuLabelPrefixes[] = {"cpu-model.node.kubevirt.io/", "cpu-model-migration.node.kubevirt.io/", "cpu-feature.node.kubevirt.io/",
                                                         "host-model-cpu.node.kubevirt.io/", "host-model-required-features.node.kubevirt.io/"};
bool is_cpu_label(std::string_view key);

/// Keys of labels with the value "true". `domain_capabilities`: libvirt's, of the accelerator that guests get;
/// `expanded`: its host model with all features spelled out (`virsh hypervisor-cpu-baseline --features`), or empty.
/// KubeVirt's names: models that run here, the host's model and its features, features that any host model may ask for.
Result<std::set<std::string>> cpu_labels(std::string_view domain_capabilities, std::string_view expanded);

/// As found the last time; empty when nothing is known.
bool cpu_labels_kept(const std::filesystem::path& state_dir);
std::set<std::string> read_cpu_labels(const std::filesystem::path& state_dir);
Result<void> keep_cpu_labels(const std::filesystem::path& state_dir, const std::set<std::string>& labels);

}  // namespace nodevirt::virt_handler
