// Sets of paths into an object, as metadata.managedFields keeps them (fieldsType FieldsV1).
#pragma once
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "pkg/base/json.hpp"

namespace nodevirt::schema {

/// A trie. An element is spelled as in FieldsV1: "f:name", "k:{\"name\":\"a\"}" (list of maps), "v:\"x\"" (set),
/// "i:0". `member` says that the path that ends here is in the set; the root is never a member.
struct FieldSet {
  bool member = false;
  std::map<std::string, FieldSet> children;

  bool empty() const { return !member && children.empty(); }
  const FieldSet* child(const std::string& element) const;

  void unite(const FieldSet& other);
  /// Takes away exactly the members of `other`; what is below them stays.
  void subtract(const FieldSet& other);
  FieldSet intersected(const FieldSet& other) const;
  /// Drops nodes that lead to no member.
  void compact();
  friend bool operator==(const FieldSet&, const FieldSet&) = default;

  /// Every member's path: [.spec.containers[name="a"].image].
  std::vector<std::string> paths() const;

  Json encode() const;
  /// InvalidArgument when an element is spelled wrongly or values are not objects.
  static Result<FieldSet> decode(const Json& fields);
};

std::string field_element(std::string_view name);

}  // namespace nodevirt::schema
