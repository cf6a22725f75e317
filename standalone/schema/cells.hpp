// What the tables of built-in and custom kinds share.
#pragma once
#include <string>
#include <string_view>

#include "standalone/schema/table.hpp"

namespace nodevirt::schema {

/// "3m20s" since an RFC 3339 time; "<unknown>" when absent, "<invalid>" when it is none.
std::string age_text(const Json& timestamp, Clock::WallTime now);

/// One entry of columnDefinitions.
Json column(std::string_view name, std::string_view type, int priority, std::string_view description);

/// The cells of a pod (its status line takes more thought than others).
Json pod_cells(const Json& pod, Clock::WallTime now);

/// A copy of what stands at a path, or null.
inline Json at(const Json& o, std::initializer_list<std::string_view> path) {
  const Json* v = find(o, path);
  return v ? *v : Json();
}

/// The array at a path, or an empty one.
inline const Json& list_at(const Json& o, std::initializer_list<std::string_view> path) {
  static const Json empty = Json::array();
  const Json* v = find(o, path);
  return v && v->is_array() ? *v : empty;
}

inline std::string or_none(std::string text) { return text.empty() ? "<none>" : text; }

}  // namespace nodevirt::schema
