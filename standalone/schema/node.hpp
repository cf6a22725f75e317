// The compiled tree behind Validator: what pruning, validation, merging and apply walk along.
// Immutable after compilation. Nodes, strings and defaults are owned by the Validator and shared
// between equal subtrees; recursive types are cycles of pointers, so every walk counts its depth.
#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "pkg/base/json.hpp"

namespace re2 { class RE2; }

namespace nodevirt::schema {

enum class Type : std::uint8_t { Any, Object, Array, String, Integer, Number, Boolean, IntOrString };
enum class ListType : std::uint8_t { Atomic, Set, Map };
enum class Format : std::uint8_t {
  None, Int32, DateTime, Date, Duration, Ipv4, Ipv6, Ip, Cidr, Mac, Uuid, Byte, Hostname, Email, Uri, Quantity,
};

struct Node;

/// The rarer rules; most nodes have none.
struct Constraints {
  std::vector<Json> enumeration;
  const re2::RE2* pattern = nullptr;
  std::string pattern_text;
  bool has_minimum = false, has_maximum = false, exclusive_minimum = false, exclusive_maximum = false;
  double minimum = 0, maximum = 0, multiple_of = 0;
  std::int64_t min_length = -1, max_length = -1, min_items = -1, max_items = -1;
  std::int64_t min_properties = -1, max_properties = -1;
  std::vector<const Node*> all_of, any_of, one_of;
  const Node* negated = nullptr;
};

struct Node {
  struct Member {
    std::string_view name;
    const Node* node;
  };
  Type type = Type::Any;
  Format format = Format::None;
  ListType list_type = ListType::Atomic;
  bool nullable : 1 = false;
  bool preserve_unknown : 1 = false;   ///< x-kubernetes-preserve-unknown-fields
  bool resource : 1 = false;           ///< the root or an embedded resource: has apiVersion, kind, metadata
  bool atomic_map : 1 = false;         ///< x-kubernetes-map-type: atomic
  bool any_member : 1 = false;         ///< additionalProperties: true
  bool lenient : 1 = false;            ///< built-in kinds: null means absent, "" asks for the default
  bool patch_merge : 1 = false;        ///< x-kubernetes-patch-strategy has merge
  bool patch_replace : 1 = false;      ///< ... has replace
  bool patch_retain_keys : 1 = false;  ///< ... has retainKeys
  bool has_defaults : 1 = false;       ///< a default stands here or below
  std::vector<Member> members;         ///< sorted by name
  std::vector<std::string_view> required;
  std::vector<std::string_view> list_map_keys;
  std::string_view patch_merge_key;
  const Node* items = nullptr;
  const Node* additional = nullptr;
  const Json* default_value = nullptr;
  std::unique_ptr<const Constraints> constraints;

  /// The schema of a member; additionalProperties' when it is not named; nullptr when unspecified.
  const Node* member(std::string_view name) const;
};

/// A place in an object, linked through the stack of a walk and spelled out only for messages.
struct Path {
  const Path* parent = nullptr;
  std::string_view name;
  std::int64_t index = -1;
  bool key = false;  ///< a key of a free map: labels[app]

  /// "a.b[0].c"
  std::string text() const;
};

/// How a JSON value is called in messages: object, array, string, integer, number, boolean, null.
std::string_view type_name(const Json& value);
/// A value as it stands in a message, shortened to a sane length.
std::string quoted(const Json& value);
bool matches_format(Format format, std::string_view text);

/// What tells an element of a list apart: its keys (list of maps) or its value, as compact JSON.
std::string canonical_key(const Node& list, const Json& element);

}  // namespace nodevirt::schema
