// Label selectors (equality and set based) and field selectors, as in URLs and in objects.
#pragma once
#include <functional>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "pkg/base/json.hpp"

namespace nodevirt::k8s {

using Labels = std::map<std::string, std::string>;

struct LabelRequirement {
  enum class Operator { In, NotIn, Exists, DoesNotExist, Gt, Lt };
  std::string key;
  Operator op = Operator::Exists;
  std::set<std::string> values;

  /// NotIn also matches where the key is absent; Gt and Lt only where the label is an integer.
  bool matches(const Labels& labels) const;
  friend bool operator==(const LabelRequirement&, const LabelRequirement&) = default;
};

class LabelSelector {
 public:
  /// Matches everything.
  LabelSelector() = default;
  /// "a=b,c!=d,e in (f,g),h notin (i),j,!k,n>5"; empty matches everything. BadRequest otherwise.
  static Result<LabelSelector> parse(std::string_view text);
  /// metav1.LabelSelector {matchLabels, matchExpressions}; {} matches everything, null nothing.
  static Result<LabelSelector> from_json(const Json& selector);
  /// A plain map, as in a Service's spec.selector: all of them must be there. null matches nothing.
  static Result<LabelSelector> from_map(const Json& labels);
  /// core/v1 NodeSelectorTerm.matchExpressions: also Gt and Lt.
  static Result<LabelSelector> from_expressions(const Json& expressions);

  bool matches(const Labels& labels) const;
  bool empty() const { return !nothing_ && requirements_.empty(); }
  const std::vector<LabelRequirement>& requirements() const { return requirements_; }
  std::string to_string() const;

 private:
  std::vector<LabelRequirement> requirements_;
  bool nothing_ = false;
};

struct FieldRequirement {
  std::string field, value;
  bool equals = true;
  friend bool operator==(const FieldRequirement&, const FieldRequirement&) = default;
};

class FieldSelector {
 public:
  FieldSelector() = default;
  /// "metadata.name=x,status.phase!=Running"; "\," "\=" "\\" are escapes in values.
  static Result<FieldSelector> parse(std::string_view text);
  const std::vector<FieldRequirement>& requirements() const { return requirements_; }
  bool empty() const { return requirements_.empty(); }
  /// `get` yields the value of a field, "" when the object has none. Which fields are known is the
  /// caller's to check first.
  bool matches(const std::function<std::string(const std::string& field)>& get) const;
  /// With dotted fields looked up in the object; strings, numbers and booleans as text.
  bool matches(const Json& object) const;

 private:
  std::vector<FieldRequirement> requirements_;
};

/// metadata.labels of an object: string members only.
Labels labels_of(const Json& object);

/// What is wrong with a label key or value (metav1 validation); empty when it is right.
std::string check_label_key(std::string_view key);
std::string check_label_value(std::string_view value);

}  // namespace nodevirt::k8s
