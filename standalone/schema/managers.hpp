// metadata.managedFields as a map from managers to what they own.
#pragma once
#include <map>
#include <optional>
#include <string>
#include <tuple>

#include "standalone/schema/apply.hpp"
#include "standalone/schema/field_set.hpp"

namespace nodevirt::schema {

/// Two entries with the same identity are one. An applier keeps its identity over API versions.
struct ManagerId {
  bool applied = false;
  std::string manager, api_version, subresource;  ///< api_version is empty when applied

  friend auto operator<=>(const ManagerId&, const ManagerId&) = default;
  /// `"kubectl" with subresource "status" using v1`
  std::string text() const;
};

struct Managed {
  std::string api_version, time;
  FieldSet fields;
};

using Managers = std::map<ManagerId, Managed>;

ManagerId id_of(const Writer& writer, bool applied);

/// InvalidArgument when an entry is malformed.
Result<Managers> decode_managers(const Json& managed_fields);
Json encode_managers(const Managers& managers);

/// Of an object: nothing stored is an empty map, malformed entries count as nothing.
Managers managers_of(const Json& object);
/// Writes them, or removes the member when there are none.
void set_managers(Json& object, const Managers& managers);

/// Merges the oldest updaters beyond ten into "ancient-changes".
void cap_updaters(Managers& managers);

}  // namespace nodevirt::schema
