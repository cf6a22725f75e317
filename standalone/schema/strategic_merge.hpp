// Strategic merge patch (application/strategic-merge-patch+json), for built-in kinds.
#pragma once
#include "standalone/schema/validator.hpp"

namespace nodevirt::schema {

/// Applies `patch` to `original`. Merge keys and strategies come from the schema; fields unknown to it
/// are merged as in JSON merge patch. Understands $patch (merge, replace, delete), $retainKeys,
/// $deleteFromPrimitiveList/NAME and $setElementOrder/NAME.
/// InvalidArgument (reason BadRequest) when the patch is malformed: a list element without its merge key,
/// an unknown $patch directive, a list where the schema has a map, nesting deeper than kMaxDepth.
Result<Json> strategic_merge(const Json& original, const Json& patch, const Validator& schema);

/// JSON merge patch (RFC 7386), bounded in depth.
Result<Json> json_merge(const Json& original, const Json& patch);

}  // namespace nodevirt::schema
