// A structural OpenAPI v3 schema (CustomResourceDefinition's openAPIV3Schema, or a built-in kind's),
// compiled once and then immutable: pruning, defaults, validation, and what patches need to know.
//
// Guarantees: no I/O, no exceptions, thread-safe when const; work and memory are bounded by the size of
// the object and of the schema; recursion is bounded by kMaxDepth (deeper input is an error, never a crash).
#pragma once
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "pkg/base/json.hpp"

namespace nodevirt::schema {

struct Node;

/// Nesting beyond this is refused by compile() and validate().
inline constexpr int kMaxDepth = 128;

/// One complaint, ready for Status.details.causes: {field: path, reason: type, message}.
struct FieldError {
  std::string path;     ///< "spec.domain.devices.disks[0].name"; "" is the object itself
  std::string type;     ///< FieldValueInvalid, FieldValueRequired, FieldValueNotSupported, FieldValueTypeInvalid,
                        ///< FieldValueDuplicate, FieldValueTooLong, FieldValueTooMany, FieldValueForbidden
  std::string message;  ///< `Invalid value: "x": must be ...`, `Required value`, `Unsupported value: "x": ...`
};

/// "path: message", as Kubernetes joins them in an Invalid status' message.
std::string to_string(const FieldError& error);
/// `Kind.group "name" is invalid: ...` or `...: [a, b]`, the message of a 422 Status.
std::string invalid_message(std::string_view kind, std::string_view group, std::string_view name,
                            const std::vector<FieldError>& errors);
/// The causes array of a Status' details.
Json causes(const std::vector<FieldError>& errors);

class Validator {
 public:
  /// Compiles and checks the structural rules (InvalidArgument; the message has the path in the schema).
  static Result<std::shared_ptr<const Validator>> compile(const Json& schema);
  ~Validator();

  /// Drops every field that the schema does not specify, keeping apiVersion, kind and metadata of the
  /// object and of embedded resources, and everything under x-kubernetes-preserve-unknown-fields. The
  /// paths of what was dropped go to `dropped_paths` (at most 100) when given:
  /// `spec.foo`, `spec.list[1].bar`: strict field validation says `unknown field "spec.foo"`.
  void prune(Json& object, std::vector<std::string>* dropped_paths = nullptr) const;

  /// Fills in `default` for absent members (and for null where the schema is not nullable).
  void apply_defaults(Json& object) const;

  /// Every violation, at most 100. `old` is the stored object of an update or nullptr: a value that
  /// the update did not touch is not complained about (ratcheting).
  std::vector<FieldError> validate(const Json& object, const Json* old = nullptr) const;

  /// What is accepted but not enforced, one sentence each: for the Warning header when a CRD is
  /// created. Rules of x-kubernetes-validations (CEL) are stored and published, and not evaluated.
  const std::vector<std::string>& warnings() const { return warnings_; }

  /// The root of the compiled tree (node.hpp), for merge and apply; lives as long as the Validator.
  const Node& root() const { return *root_; }

 private:
  friend struct Compiler;
  Validator();
  struct Pool;
  std::unique_ptr<Pool> pool_;
  const Node* root_ = nullptr;
  std::vector<std::string> warnings_;
};

}  // namespace nodevirt::schema
