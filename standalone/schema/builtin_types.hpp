// The built-in types as OpenAPI schemas, straight from data/*.schema (format: data/README.md).
#pragma once
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "pkg/base/json.hpp"

namespace nodevirt::schema {

/// One file of data/, linked into the program.
struct BuiltinFile {
  std::string_view name;  ///< "core.v1"
  std::string_view text;
};
extern const BuiltinFile kBuiltinFiles[];
extern const std::size_t kBuiltinFileCount;

/// "core.v1.Pod" for ("", "v1", "Pod"); nothing when it is no built-in kind.
std::optional<std::string> builtin_type_name(std::string_view group, std::string_view version, std::string_view kind);

/// The definition of "core.v1.Pod", references spelled {"$ref": "core.v1.PodSpec"}; nothing when unknown.
std::optional<Json> builtin_definition(std::string_view type);

/// What a definition refers to, directly.
void collect_references(const Json& definition, std::vector<std::string>& out);

}  // namespace nodevirt::schema
