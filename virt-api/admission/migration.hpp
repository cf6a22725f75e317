// Migrations, their policies and the cluster's settings: what may be asked for.
#pragma once
#include "pkg/client/client.hpp"
#include "virt-api/admission/review.hpp"

namespace nodevirt::virt_api {

/// The label by which a VMI's migrations are found, and the finalizer that holds one until its pods are settled.
Json with_migration_defaults(Json migration);
AdmissionAnswer mutate_migration(const AdmissionRequest& request);

/// Looks up the instance and its other migrations, then decide_migration.
Awaitable<AdmissionAnswer> admit_migration_create(client::Client client, AdmissionRequest request);
/// The decision alone: `vmi` is null when there is none, `others` the migrations of the same namespace. Refusals
/// are worded, and numbered, as KubeVirt does.
AdmissionAnswer decide_migration(const AdmissionRequest& request, const Json& vmi, const std::vector<Json>& others);

/// The spec stays as it is; so does the label of an unfinished one.
AdmissionAnswer admit_migration_update(const AdmissionRequest& request);
AdmissionAnswer admit_migration_policy(const AdmissionRequest& request);
AdmissionAnswer admit_kubevirt(const AdmissionRequest& request);

}  // namespace nodevirt::virt_api
