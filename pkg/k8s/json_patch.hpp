// JSON Patch (RFC 6902).
#pragma once
#include "pkg/base/json.hpp"

namespace nodevirt::k8s {

/// The document after all operations, or an error and the document is as it was (it is taken by
/// value). Bounded against hostile patches: at most 10000 operations, 16 MiB copied, 200 levels.
/// Errors: BadRequest (the patch itself is malformed), Invalid (it does not fit the document: a
/// missing path, a failed `test`), RequestEntityTooLarge; the message names the operation.
Result<Json> apply_json_patch(Json doc, const Json& patch);

/// The tokens of an RFC 6901 pointer ("" is none), with ~0 and ~1 decoded.
Result<std::vector<std::string>> parse_json_pointer(std::string_view text);
/// `token` as it is written inside a pointer.
std::string escape_json_pointer(std::string_view token);

}  // namespace nodevirt::k8s
