// What a Validator owns: nodes, names, defaults and patterns, each held once.
#pragma once
#include <deque>
#include <memory>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include <re2/re2.h>

#include "standalone/schema/node.hpp"
#include "standalone/schema/validator.hpp"

namespace nodevirt::schema {

struct Validator::Pool {
  std::deque<Node> nodes;
  std::unordered_set<std::string> names;
  std::deque<Json> values;
  std::unordered_map<std::string, std::unique_ptr<re2::RE2>> patterns;
  std::unordered_multimap<std::size_t, const Node*> shared;

  std::string_view intern(std::string_view text);
  const Json* keep(const Json& value);
  Node* add() { return &nodes.emplace_back(); }
  /// An equal node that is there already, or this one.
  const Node* share(Node&& node);
  Result<const re2::RE2*> pattern(const std::string& text, const std::string& where);
  /// Frees what only compilation needs.
  void finish();
};

/// Collects violations of `value`; used for defaults while compiling.
void validate_node(const Node& node, const Json& value, const Json* old, std::vector<FieldError>& errors);

}  // namespace nodevirt::schema
