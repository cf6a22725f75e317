// Objects seen through their schema as maps, lists of maps, sets and leaves: which fields an object
// names, how two objects differ, merging one into another, taking fields out.
#pragma once
#include "standalone/schema/field_set.hpp"
#include "standalone/schema/node.hpp"

namespace nodevirt::schema {

/// The fields that an object names. InvalidArgument for a list of maps with a missing or doubled key and
/// for a set with a doubled value, unless `allow_duplicates`.
Result<FieldSet> fields_of(const Json& object, const Node* schema, bool allow_duplicates);

struct Difference {
  FieldSet added, removed, modified;
};
/// How `now` differs from `before`. Doubled list elements are compared together.
Difference compare(const Json& before, const Json& now, const Node* schema);

/// `live` with what `config` names; `config` must have passed fields_of without duplicates. Items of
/// lists keep their order where config does not say otherwise.
Json merge_config(const Json& live, const Json& config, const Node* schema);

/// Adds every field with a name of its own in the schema (not keys of free maps, not list elements) on
/// the way to a member: owning spec.a means that spec may not vanish.
FieldSet with_named_fields(const FieldSet& set, const Node* schema);

/// Takes the members of `set` out of `object`, with everything below them.
void remove_fields(Json& object, const FieldSet& set, const Node* schema);

/// A set written under an older schema: what has become atomic since is owned as a whole.
void reconcile_with_schema(FieldSet& set, const Node* schema);

}  // namespace nodevirt::schema
