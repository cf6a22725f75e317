// Json: the one JSON value type, and parsing that never throws.
#pragma once
#include <string>
#include <string_view>

#include <nlohmann/json.hpp>

#include "pkg/base/result.hpp"

namespace nodevirt {

using Json = nlohmann::json;

/// Parses hostile text: nesting deeper than `max_depth` (stack), invalid UTF-8 and trailing
/// garbage are InvalidArgument, never an exception or a crash.
Result<Json> parse_json(std::string_view text, int max_depth = 128);

/// Compact text; invalid UTF-8 in strings is replaced rather than thrown at.
std::string dump_json(const Json& value);

/// The member at a path of object keys, or nullptr when any step is missing or no object.
const Json* find(const Json& value, std::initializer_list<std::string_view> path);
/// The string/number/bool at a path, or the fallback when missing or of another type.
std::string string_at(const Json& value, std::initializer_list<std::string_view> path,
                      std::string_view fallback = "");
std::int64_t int_at(const Json& value, std::initializer_list<std::string_view> path, std::int64_t fallback = 0);
bool bool_at(const Json& value, std::initializer_list<std::string_view> path, bool fallback = false);

}  // namespace nodevirt
