// ResourceQuotas: what a namespace uses, and whether one more object fits.
#pragma once
#include <string>

#include "pkg/base/json.hpp"
#include "standalone/apiserver/resources/resource_info.hpp"

namespace nodevirt::apiserver {

class Store;

/// For each key of `hard` that is understood, the quantity in use: pods, services, secrets, configmaps,
/// persistentvolumeclaims, resourcequotas, services.nodeports, count/RESOURCE.GROUP, requests.* and limits.*
/// (cpu and memory alone mean requests) of pods that have not ended, requests.storage of claims.
Json quota_usage(const Store& store, const std::string& ns, const Json& hard);
/// Forbidden when creating `object` would exceed a quota of its namespace; counts accepted writes, so that
/// two creates at once cannot both take the last place.
Result<void> check_quotas(const Store& store, const ResourceInfo& info, const Json& object);

}  // namespace nodevirt::apiserver
