// The paths of an OpenAPI document: one operation per verb, with what kubectl looks for in it
// (x-kubernetes-group-version-kind, x-kubernetes-action, the query parameters dryRun and fieldValidation).
#pragma once
#include "standalone/schema/openapi_schemas.hpp"

namespace nodevirt::schema {

/// Adds the paths of a kind and its subresources to `paths`.
void add_paths(Json& paths, const ApiKind& kind, OpenApiVersion version);

}  // namespace nodevirt::schema
