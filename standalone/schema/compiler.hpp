// Compilation of a schema with references, as the built-in kinds need it.
#pragma once
#include <functional>

#include "standalone/schema/validator.hpp"

namespace nodevirt::schema {

struct CompileOptions {
  /// Resolves "$ref" (the name alone); nullptr when there is no such definition. Empty: $ref is refused.
  std::function<const Json*(std::string_view)> resolve;
  /// The rules of built-in kinds: no structural checks, null means absent, "" asks for the default.
  bool lenient = false;
  /// False for kinds without apiVersion, kind and metadata at the root.
  bool resource = true;
};

Result<std::shared_ptr<const Validator>> compile_schema(const Json& schema, const CompileOptions& options);

/// The OpenAPI schema of metav1.ObjectMeta.
const Json& object_meta_schema();

}  // namespace nodevirt::schema
