// How far the migrations away from this node are, in KubeVirt's metrics and some of our own.
#pragma once
#include "virt-handler/instances/objects.hpp"
#include "virt-handler/metrics/metrics.hpp"

namespace nodevirt::virt_handler {

/// Adds the samples of an instance whose migration away from `node` goes on; none for any other.
void migration_metrics(MetricText& out, const InstanceObject& instance, const std::string& node);

}  // namespace nodevirt::virt_handler
