// The schemas of the built-in kinds. The data stands in data/*.json (compact form, README there), is
// linked into the program, and is parsed per kind at first use. Thread-safe.
#pragma once
#include <memory>
#include <string_view>

#include "standalone/schema/validator.hpp"

namespace nodevirt::schema {

/// The compiled schema of a built-in kind; nullptr when it is not one. Kept while somebody holds it.
/// Lists ("PodList") and option kinds have none; "Eviction" (policy/v1), "Binding" (v1), "TokenRequest"
/// (authentication.k8s.io/v1), "Scale" (autoscaling/v1) and the access reviews have.
std::shared_ptr<const Validator> builtin_schema(std::string_view group, std::string_view version,
                                                std::string_view kind);

/// Defaults of a built-in kind that depend on other fields (imagePullPolicy of the tag, targetPort of
/// port, ...) in addition to Validator::apply_defaults, which is called here too. No-op for other kinds.
void apply_builtin_defaults(std::string_view group, std::string_view version, std::string_view kind, Json& object);

/// Checks of a built-in kind beyond its schema (names that refer to each other, immutable fields on
/// update, label syntax of selectors ...). `old` as in Validator::validate. Empty for other kinds.
std::vector<FieldError> validate_builtin(std::string_view group, std::string_view version, std::string_view kind,
                                         const Json& object, const Json* old = nullptr);

/// metadata as every kind has it: names, labels, annotations' size, finalizers, ownerReferences, and
/// what an update may not change. `namespaced` says whether a namespace must or must not stand there.
std::vector<FieldError> validate_metadata(const Json& object, bool namespaced, const Json* old = nullptr);

}  // namespace nodevirt::schema
