#include "pkg/base/json.hpp"

#include <fmt/format.h>

namespace nodevirt {

namespace {

// Counts nesting before the parser recurses into destructors and copies of what it built.
bool too_deep(std::string_view text, int max_depth) {
  int depth = 0;
  bool in_string = false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    char c = text[i];
    if (in_string) {
      if (c == '\\') ++i;
      else if (c == '"') in_string = false;
      continue;
    }
    if (c == '"') in_string = true;
    else if (c == '{' || c == '[') { if (++depth > max_depth) return true; }
    else if (c == '}' || c == ']') --depth;
  }
  return false;
}

}  // namespace

Result<Json> parse_json(std::string_view text, int max_depth) {
  if (too_deep(text, max_depth))
    return Error(Code::InvalidArgument, "BadRequest", fmt::format("JSON nested deeper than {} levels", max_depth));
  try {
    return Json::parse(text.begin(), text.end());
  } catch (const Json::exception& e) {
    std::string what = e.what();
    if (auto at = what.find("] "); at != std::string::npos) what = what.substr(at + 2);
    return Error(Code::InvalidArgument, "BadRequest", "invalid JSON: " + what);
  }
}

std::string dump_json(const Json& value) {
  return value.dump(-1, ' ', false, Json::error_handler_t::replace);
}

const Json* find(const Json& value, std::initializer_list<std::string_view> path) {
  const Json* at = &value;
  for (auto key : path) {
    if (!at->is_object()) return nullptr;
    auto it = at->find(std::string(key));
    if (it == at->end()) return nullptr;
    at = &*it;
  }
  return at;
}

std::string string_at(const Json& value, std::initializer_list<std::string_view> path, std::string_view fallback) {
  const Json* at = find(value, path);
  return at && at->is_string() ? at->get<std::string>() : std::string(fallback);
}

std::int64_t int_at(const Json& value, std::initializer_list<std::string_view> path, std::int64_t fallback) {
  const Json* at = find(value, path);
  return at && at->is_number_integer() ? at->get<std::int64_t>() : fallback;
}

bool bool_at(const Json& value, std::initializer_list<std::string_view> path, bool fallback) {
  const Json* at = find(value, path);
  return at && at->is_boolean() ? at->get<bool>() : fallback;
}

}  // namespace nodevirt
