#include "standalone/schema/builtin_types.hpp"

#include <unordered_map>

#include "standalone/schema/compiler.hpp"

namespace nodevirt::schema {

namespace {

std::string_view next_line(std::string_view& text) {
  const auto end = text.find('\n');
  const auto line = text.substr(0, end);
  text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
  return line;
}

/// The next blank-separated word; parentheses keep blanks within (default({"a": 1})).
std::string_view next_word(std::string_view& line) {
  while (!line.empty() && line.front() == ' ') line.remove_prefix(1);
  int open = 0;
  std::size_t i = 0;
  for (; i < line.size() && (open || line[i] != ' '); ++i) open += (line[i] == '(') - (line[i] == ')');
  const auto word = line.substr(0, i);
  line.remove_prefix(i);
  return word;
}

std::vector<std::string> split(std::string_view text) {
  std::vector<std::string> out;
  while (!text.empty()) {
    const auto comma = text.find(',');
    out.emplace_back(text.substr(0, comma));
    text.remove_prefix(comma == std::string_view::npos ? text.size() : comma + 1);
  }
  return out;
}

/// Where each type of each file starts: "core.v1.Pod" -> the text from its line on.
struct Index {
  std::unordered_map<std::string, std::string_view> types;
  std::unordered_map<std::string, std::string> kinds;  ///< "group/version/kind" -> type

  Index() {
    for (std::size_t f = 0; f < kBuiltinFileCount; ++f) {
      const auto& file = kBuiltinFiles[f];
      const std::string prefix = std::string(file.name) + ".";
      const std::string version(file.name.substr(file.name.rfind('.') + 1));
      std::string group;
      for (std::string_view rest = file.text; !rest.empty();) {
        const auto start = rest;
        std::string_view line = next_line(rest);
        const auto word = next_word(line);
        if (word == "group") group = next_word(line);
        else if (word == "kind") {
          const std::string kind(next_word(line));
          kinds[group + "/" + version + "/" + kind] = prefix + kind;
        } else if (word == "type") {
          types[prefix + std::string(next_word(line))] = start;
        }
      }
    }
  }
};

const Index& index() {
  static const Index i;
  return i;
}

Json scalar(std::string_view name) {
  Json s = Json::object();
  auto set = [&](const char* type, const char* format) {
    s["type"] = type;
    if (*format) s["format"] = format;
  };
  if (name == "string") set("string", "");
  else if (name == "bool") set("boolean", "");
  else if (name == "int32") set("integer", "int32");
  else if (name == "int64") set("integer", "int64");
  else if (name == "double") set("number", "double");
  else if (name == "bytes") set("string", "byte");
  else if (name == "time" || name == "microtime") set("string", "date-time");
  else if (name == "quantity") set("string", "quantity");
  else if (name == "intstr") set("string", "int-or-string");
  else if (name == "raw") {
    set("object", "");
    s["x-kubernetes-preserve-unknown-fields"] = true;
    s["x-kubernetes-map-type"] = "atomic";
  }
  else if (name == "any") s["x-kubernetes-preserve-unknown-fields"] = true;
  return s;
}

Json type_schema(std::string_view type, std::string_view prefix) {
  Json s = Json::object();
  if (type.front() == '[') {
    s["type"] = "array";
    s["items"] = type_schema(type.substr(1, type.size() - 2), prefix);
  } else if (type.front() == '{') {
    s["type"] = "object";
    s["additionalProperties"] = type_schema(type.substr(1, type.size() - 2), prefix);
  } else if (type.front() >= 'A' && type.front() <= 'Z') {
    s["$ref"] = std::string(prefix) + std::string(type);
  } else if (type.find('.') != std::string_view::npos) {
    s["$ref"] = std::string(type);
  } else {
    s = scalar(type);
  }
  return s;
}

void apply_flag(Json& field, std::string_view flag) {
  const auto open = flag.find('(');
  const auto name = flag.substr(0, open);
  const auto argument = open == std::string_view::npos ? std::string_view() : flag.substr(open + 1, flag.size() - open - 2);
  auto add_strategy = [&](const char* word) {
    auto& s = field["x-kubernetes-patch-strategy"];
    s = s.is_string() ? s.get<std::string>() + "," + word : std::string(word);
  };
  if (name == "map") {
    field["x-kubernetes-list-type"] = "map";
    field["x-kubernetes-list-map-keys"] = split(argument);
  } else if (name == "set") {
    field["x-kubernetes-list-type"] = "set";
  } else if (name == "atomic") {
    field["x-kubernetes-map-type"] = "atomic";
  } else if (name == "merge") {
    add_strategy("merge");
    if (!argument.empty()) field["x-kubernetes-patch-merge-key"] = std::string(argument);
  } else if (name == "replace") {
    add_strategy("replace");
  } else if (name == "retainKeys") {
    add_strategy("retainKeys");
  } else if (name == "enum") {
    field["enum"] = split(argument);
  } else if (name == "default") {
    if (auto v = parse_json(argument)) field["default"] = std::move(*v);
  }
}

}  // namespace

std::optional<std::string> builtin_type_name(std::string_view group, std::string_view version, std::string_view kind) {
  std::string key(group);
  key.append("/").append(version).append("/").append(kind);
  auto it = index().kinds.find(key);
  if (it == index().kinds.end()) return std::nullopt;
  return it->second;
}

std::optional<Json> builtin_definition(std::string_view type) {
  if (type == "meta.v1.ObjectMeta") return object_meta_schema();
  auto it = index().types.find(std::string(type));
  if (it == index().types.end()) return std::nullopt;
  const auto prefix = type.substr(0, type.rfind('.') + 1);
  std::string_view rest = it->second;
  std::string_view head = next_line(rest);
  Json s = Json::object();
  s["type"] = "object";
  if (auto doc = head.find(" -- "); doc != std::string_view::npos) {
    s["description"] = std::string(head.substr(doc + 4));
    head = head.substr(0, doc);
  }
  if (head.ends_with(" atomic")) s["x-kubernetes-map-type"] = "atomic";
  Json properties = Json::object(), required = Json::array(), insisted = Json::array();
  while (rest.starts_with("  ")) {
    std::string_view line = next_line(rest);
    std::string_view doc;
    if (auto at = line.find(" -- "); at != std::string_view::npos) {
      doc = line.substr(at + 4);
      line = line.substr(0, at);
    }
    const std::string name(next_word(line));
    Json field = type_schema(next_word(line), prefix);
    if (!doc.empty()) field["description"] = std::string(doc);
    for (auto word = next_word(line); !word.empty(); word = next_word(line)) {
      if (word.starts_with("!")) required.push_back(name);
      if (word == "!!") insisted.push_back(name);
      if (!word.starts_with("!")) apply_flag(field, word);
    }
    properties[name] = std::move(field);
  }
  if (!properties.empty()) s["properties"] = std::move(properties);
  if (!required.empty()) s["required"] = std::move(required);
  if (!insisted.empty()) s["x-nodevirt-required"] = std::move(insisted);
  return s;
}

void collect_references(const Json& definition, std::vector<std::string>& out) {
  if (definition.is_object()) {
    if (auto it = definition.find("$ref"); it != definition.end() && it->is_string()) out.push_back(it->get<std::string>());
    for (const Json& v : definition) collect_references(v, out);
  } else if (definition.is_array()) {
    for (const Json& v : definition) collect_references(v, out);
  }
}

}  // namespace nodevirt::schema
