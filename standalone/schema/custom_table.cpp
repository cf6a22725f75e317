#include <fmt/format.h>

#include "standalone/schema/cells.hpp"
#include "standalone/schema/jsonpath.hpp"

namespace nodevirt::schema {

namespace {

constexpr std::size_t kMaxColumns = 100;
constexpr std::size_t kMaxCell = 64u << 10;

struct Column {
  std::string type;
  JsonPath path;
};

/// A value within a text cell: strings as they are, structures as JSON.
std::string plain(const Json& v) {
  if (v.is_string()) return v.get<std::string>();
  std::string text = dump_json(v);
  return text.size() > kMaxCell ? text.substr(0, kMaxCell) : text;
}

Json cell(const Column& c, const Json& object, Clock::WallTime now) {
  const auto found = c.path.evaluate(object);
  if (found.empty()) return nullptr;
  const Json& v = *found.front();
  if (v.is_null()) return nullptr;
  if (c.type == "integer") {
    if (v.is_number_integer()) return v;
    if (v.is_number_float() && std::abs(v.get<double>()) < 9e18) return std::int64_t(v.get<double>());
    return nullptr;
  }
  if (c.type == "number") return v.is_number() ? v : Json();
  if (c.type == "boolean") return v.is_boolean() ? v : Json();
  if (c.type == "date") return v.is_string() ? Json(age_text(v, now)) : Json();
  std::string text;
  for (const Json* f : found) {
    if (!text.empty()) text += ' ';
    text += plain(*f);
    if (text.size() > kMaxCell) break;
  }
  return text;
}

class CustomTable final : public TableFormat {
 public:
  Json definitions = Json::array();
  std::vector<Column> fields;

  Json columns() const override { return definitions; }

  Json cells(const Json& object, Clock::WallTime now) const override {
    Json out = Json::array();
    out.push_back(string_at(object, {"metadata", "name"}));
    for (const Column& c : fields) out.push_back(cell(c, object, now));
    return out;
  }
};

bool known_type(std::string_view t) {
  return t == "string" || t == "integer" || t == "number" || t == "boolean" || t == "date";
}

}  // namespace

Result<std::shared_ptr<const TableFormat>> TableFormat::custom(const Json& columns) {
  auto table = std::make_shared<CustomTable>();
  table->definitions.push_back(column("Name", "string", 0, "The object's name."));
  if (!columns.is_null() && !columns.is_array())
    return Error(Code::InvalidArgument, "Invalid", "additionalPrinterColumns: must be an array");
  if (columns.size() > kMaxColumns)
    return Error(Code::InvalidArgument, "Invalid", "additionalPrinterColumns: more than 100 columns");
  for (std::size_t i = 0; i < columns.size(); ++i) {
    const Json& c = columns[i];
    const std::string where = fmt::format("additionalPrinterColumns[{}]", i);
    const std::string name = string_at(c, {"name"}), type = string_at(c, {"type"});
    if (name.empty()) return Error(Code::InvalidArgument, "Invalid", where + ".name: Required value");
    if (!known_type(type))
      return Error(Code::InvalidArgument, "Invalid", where + ".type: Unsupported value: \"" + type +
                   "\": supported values: \"boolean\", \"date\", \"integer\", \"number\", \"string\"");
    auto path = JsonPath::compile(string_at(c, {"jsonPath"}));
    if (!path) return path.error().with_context(where + ".jsonPath");
    const auto priority = int(std::clamp<std::int64_t>(int_at(c, {"priority"}), INT32_MIN, INT32_MAX));
    Json definition = column(name, type, priority, string_at(c, {"description"}));
    definition["format"] = string_at(c, {"format"});
    table->definitions.push_back(std::move(definition));
    table->fields.push_back({type, std::move(*path)});
  }
  if (columns.empty()) {
    NV_TRY(JsonPath created, JsonPath::compile(".metadata.creationTimestamp"));
    table->definitions.push_back(column("Age", "date", 0, "Time since the object was created."));
    table->fields.push_back({"date", std::move(created)});
  }
  return std::shared_ptr<const TableFormat>(std::move(table));
}

}  // namespace nodevirt::schema
