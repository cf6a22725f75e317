// Server-side apply, and the bookkeeping of metadata.managedFields that it rests on.
//
// `schema` tells which lists are sets or maps (with their keys), which maps and lists are atomic. A
// nullptr, or a field that the schema does not know, means: maps granular, lists atomic.
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "pkg/base/clock.hpp"
#include "standalone/schema/validator.hpp"

namespace nodevirt::schema {

/// Who writes, and how it is recorded.
struct Writer {
  std::string manager;       ///< fieldManager, or the user agent's first word; at most 128 bytes
  std::string api_version;   ///< of the request: "v1", "kubevirt.io/v1"
  std::string subresource;   ///< "status", "scale" or empty
  Clock::WallTime now{};
  /// Top-level fields that this endpoint does not write ("status" of the main resource where there is a
  /// status subresource; "spec" and so on of that one): never owned through it. The caller puts them back.
  std::vector<std::string> ignored{};
};

/// The result of applying `config` (which names no managedFields) to `live` (nullptr: it does not
/// exist and is created). Fields that `writer` applied before and does not name any more are removed unless
/// somebody else owns them. The result's managedFields are up to date; defaults, pruning, validation and
/// admission are the caller's, who calls track_apply_result afterwards if those changed the object.
/// With force, conflicting fields change their owner; without, Error{Aborted, "Conflict", ...}
/// whose details have one cause {reason: FieldManagerConflict, message, field} per field.
/// InvalidArgument for duplicate keys in lists of type map or set and wrong shapes.
Result<Json> apply_patch(const Json* live, const Json& config, const Writer& writer, bool force,
                         const Validator* schema);

/// Sets managedFields of `updated` after an ordinary write (create: `old` is nullptr). What differs from `old`
/// becomes the writer's (operation Update); what disappeared is taken from all; a field set by two stays
/// theirs only where the value is unchanged. The client's own managedFields are: taken when they are well
/// formed, old's when absent, and cleared when it sets [] (or [{}]). Never fails: malformed ones count as absent.
/// The time of an unchanged entry stays; at most 10 entries with operation Update are kept apart
/// (older ones are merged into "ancient-changes").
void track_update(const Json* old, Json& updated, const Writer& writer, const Validator* schema);

/// After admission or defaulting changed the result of apply_patch: what vanished is disowned.
void track_apply_result(const Json& applied, Json& final, const Validator* schema);

/// Whether two objects are equal but for resourceVersion and the times in managedFields: then a write
/// need not happen.
bool equal_ignoring_managed_fields(const Json& a, const Json& b);

/// Checks a client's managedFields (operation, fieldsType, fieldsV1, duplicates).
std::vector<FieldError> validate_managed_fields(const Json& object);

/// Checks a fieldManager's name: printable, at most 128 characters. Required for apply.
Result<void> check_manager(std::string_view manager, bool apply);

}  // namespace nodevirt::schema
