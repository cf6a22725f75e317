// JSON Merge Patch (RFC 7386).
#pragma once
#include "pkg/base/json.hpp"

namespace nodevirt::k8s {

/// Objects are merged member by member, null removes, anything else replaces. Recursion is as deep as
/// the patch, which parse_json bounds.
Json apply_merge_patch(Json doc, const Json& patch);

/// The patch that turns `from` into `to` ({} when they are equal). Arrays are replaced whole. Members
/// that are null in `to` cannot be expressed and come out removed.
Json make_merge_patch(const Json& from, const Json& to);

}  // namespace nodevirt::k8s
