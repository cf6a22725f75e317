// How one migration is done: the cluster's settings, the policy that fits, and what the request says. Pure over
// the caches.
#pragma once
#include "api/migration_config.hpp"
#include "virt-controller/migration/objects.hpp"

namespace nodevirt::virt_controller::migration {

/// The KubeVirt object `kubevirt`, or the first by name; null when there is none.
Json kubevirt_object(const KubeVirtInformer& kubevirts);

/// spec.configuration.evictionStrategy, for instances that name none: None when it is not set.
std::string default_eviction_strategy(const Json& kubevirt);

/// The effective configuration of `migration` for that instance.
api::MigrationConfig configuration_of(const Caches& caches, const MigrationObject& migration, const api::LabelMap& instance_labels);

}  // namespace nodevirt::virt_controller::migration
