// ResourceQuotas: what a namespace uses, and whether one more object, or a larger one, fits.
#pragma once
#include <string>

#include "pkg/base/json.hpp"
#include "standalone/apiserver/resources/resource_info.hpp"

namespace nodevirt::apiserver {

class Store;

/// For each key of the quota's `hard` the quantity in use by the objects that its scopes select: pods, services,
/// secrets, configmaps, persistentvolumeclaims, resourcequotas, services.nodeports, services.loadbalancers,
/// count/RESOURCE.GROUP; requests.* and limits.* (cpu, memory and ephemeral-storage alone mean requests) of pods that
/// have not ended; requests.storage of claims, and both of one class (CLASS.storageclass.storage.k8s.io/...).
Json quota_usage(const Store& store, const std::string& ns, const Json& spec);

/// Forbidden when writing `object` (over `old`, or anew) would exceed a quota of its namespace, or when a quota of
/// compute resources applies to a pod that does not say how much it takes. Counts accepted writes, so that two at once
/// cannot both take the last place. What is already beyond a quota may shrink and change otherwise.
Result<void> check_quotas(const Store& store, const ResourceInfo& info, const Json& object, const Json* old);

}  // namespace nodevirt::apiserver
