#include "standalone/schema/table.hpp"

#include <fmt/format.h>

#include "standalone/schema/cells.hpp"

namespace nodevirt::schema {

Result<IncludeObject> parse_include_object(std::string_view text) {
  if (text.empty() || text == "Metadata") return IncludeObject::Metadata;
  if (text == "None") return IncludeObject::None;
  if (text == "Object") return IncludeObject::Object;
  return Error(Code::InvalidArgument, "BadRequest", "unrecognized includeObject value \"" + std::string(text.substr(0, 64)) + "\"");
}

std::string human_duration(std::chrono::seconds d) {
  const std::int64_t s = d.count();
  if (s < -1) return "<invalid>";
  if (s < 0) return "0s";
  if (s < 120) return fmt::format("{}s", s);
  const std::int64_t m = s / 60;
  auto pair = [](std::int64_t big, const char* unit, std::int64_t small, const char* part) {
    return small ? fmt::format("{}{}{}{}", big, unit, small, part) : fmt::format("{}{}", big, unit);
  };
  if (m < 10) return pair(m, "m", s % 60, "s");
  if (m < 180) return fmt::format("{}m", m);
  const std::int64_t h = s / 3600;
  if (h < 8) return pair(h, "h", m % 60, "m");
  if (h < 48) return fmt::format("{}h", h);
  const std::int64_t days = h / 24;
  if (h < 192) return pair(days, "d", h % 24, "h");
  if (h < 24 * 365 * 2) return fmt::format("{}d", days);
  if (h < 24 * 365 * 8) return pair(days / 365, "y", days % 365, "d");
  return fmt::format("{}y", days / 365);
}

std::string age_text(const Json& timestamp, Clock::WallTime now) {
  if (!timestamp.is_string()) return "<unknown>";
  auto t = parse_time(timestamp.get_ref<const std::string&>());
  if (!t) return "<invalid>";
  return human_duration(std::chrono::duration_cast<std::chrono::seconds>(now - *t));
}

Json column(std::string_view name, std::string_view type, int priority, std::string_view description) {
  Json c = Json::object();
  c["name"] = std::string(name);
  c["type"] = std::string(type);
  c["format"] = name == "Name" ? "name" : "";
  c["description"] = std::string(description);
  c["priority"] = priority;
  return c;
}

Json render_row(const TableFormat& format, const Json& object, const TableOptions& options) {
  Json row = Json::object();
  row["cells"] = format.cells(object, options.now);
  if (options.include_object == IncludeObject::Object) {
    row["object"] = object;
  } else if (options.include_object == IncludeObject::Metadata) {
    Json partial = Json::object();
    partial["kind"] = "PartialObjectMetadata";
    partial["apiVersion"] = "meta.k8s.io/v1";
    auto meta = object.find("metadata");
    partial["metadata"] = meta == object.end() ? Json::object() : *meta;
    row["object"] = std::move(partial);
  } else {
    row["object"] = nullptr;
  }
  return row;
}

Json render_table(const TableFormat& format, std::span<const Json* const> objects, const TableOptions& options) {
  Json table = Json::object();
  table["kind"] = "Table";
  table["apiVersion"] = "meta.k8s.io/v1";
  table["metadata"] = options.list_metadata;
  table["columnDefinitions"] = options.column_definitions ? format.columns() : Json::array();
  Json rows = Json::array();
  for (const Json* o : objects) rows.push_back(render_row(format, *o, options));
  table["rows"] = std::move(rows);
  return table;
}

}  // namespace nodevirt::schema
