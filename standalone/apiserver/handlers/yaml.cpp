// YAML in and out (yaml-cpp), at the edge: everything inside is JSON.
#include <charconv>
#include <cmath>
#include <sstream>

#include <fmt/format.h>
#include <yaml-cpp/yaml.h>

#include "standalone/apiserver/errors.hpp"
#include "standalone/apiserver/handlers/negotiation.hpp"

namespace nodevirt::apiserver {

namespace {

struct TooLarge {};

Json scalar(const YAML::Node& node) {
  const auto& text = node.Scalar();
  if (node.Tag() == "!" || node.Tag() == "tag:yaml.org,2002:str") return text;   // quoted
  if (text.empty() || text == "~" || text == "null" || text == "Null" || text == "NULL") return nullptr;
  if (text == "true" || text == "True" || text == "TRUE") return true;
  if (text == "false" || text == "False" || text == "FALSE") return false;
  const char* first = text.data();
  const char* last = first + text.size();
  std::int64_t integer = 0;
  if (auto [p, ec] = std::from_chars(first + (*first == '+'), last, integer); ec == std::errc() && p == last) return integer;
  if (text.starts_with("0x")) {
    std::uint64_t hex = 0;
    if (auto [p, ec] = std::from_chars(first + 2, last, hex, 16); ec == std::errc() && p == last) return hex;
  }
  char c = text[0];
  if ((c >= '0' && c <= '9') || c == '-' || c == '+' || c == '.') {
    double number = 0;
    if (auto [p, ec] = std::from_chars(first + (*first == '+'), last, number); ec == std::errc() && p == last && std::isfinite(number)) return number;
  }
  return text;
}

// `budget` bounds what aliases may expand to.
Json convert(const YAML::Node& node, int depth, std::size_t& budget) {
  if (depth > 128 || budget == 0) throw TooLarge{};
  --budget;
  switch (node.Type()) {
    case YAML::NodeType::Scalar: return scalar(node);
    case YAML::NodeType::Sequence: {
      Json out = Json::array();
      for (const auto& one : node) out.push_back(convert(one, depth + 1, budget));
      return out;
    }
    case YAML::NodeType::Map: {
      Json out = Json::object();
      for (const auto& one : node) {
        if (!one.first.IsScalar()) throw YAML::Exception(one.first.Mark(), "a key must be a scalar");
        if (one.first.Scalar() == "<<" && one.second.IsMap()) {
          Json merged = convert(one.second, depth + 1, budget);
          for (auto& [k, v] : merged.items()) if (!out.contains(k)) out[k] = v;
        } else {
          out[one.first.Scalar()] = convert(one.second, depth + 1, budget);
        }
      }
      return out;
    }
    default: return nullptr;
  }
}

bool plain(const std::string& s) {
  if (s.empty() || s.size() > 200) return false;
  for (char c : s)
    if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '/' || c == '_' || c == '-')) return false;
  if (!((s[0] >= 'a' && s[0] <= 'z') || (s[0] >= 'A' && s[0] <= 'Z') || s[0] == '/')) return false;
  for (const char* word : {"true", "false", "null", "yes", "no", "on", "off", "y", "n"}) {
    std::string lower = s;
    for (auto& c : lower) c = char(std::tolower(static_cast<unsigned char>(c)));
    if (lower == word) return false;
  }
  return true;
}

void emit(std::string& out, const Json& v, int indent, bool in_list) {
  std::string pad(std::size_t(indent), ' ');
  if (v.is_object() && !v.empty()) {
    bool first = true;
    for (const auto& [k, child] : v.items()) {
      if (!(first && in_list)) out += pad;
      first = false;
      out += plain(k) ? k : Json(k).dump(-1, ' ', false, Json::error_handler_t::replace);
      out += ':';
      bool nested = child.is_structured() && !child.empty();
      out += nested ? "\n" : " ";
      emit(out, child, child.is_array() ? indent : indent + 2, false);
    }
  } else if (v.is_array() && !v.empty() && !in_list) {
    for (const auto& child : v) {
      out += pad + "- ";
      emit(out, child, indent + 2, true);
    }
  } else if (v.is_string() && plain(v.get_ref<const std::string&>())) {
    out += v.get_ref<const std::string&>() + "\n";
  } else {
    out += v.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";   // JSON scalars are YAML
  }
}

/// Takes the text up to a line `---` or `...` (which end a document wherever they stand at its column 0).
std::string next_document(std::string_view& text) {
  std::string out;
  while (!text.empty()) {
    auto end = std::min(text.find('\n'), text.size());
    auto line = text.substr(0, end);
    auto here = text;
    text.remove_prefix(std::min(end + 1, text.size()));
    bool marker = line.starts_with("---") || line.starts_with("...");
    if (marker && (line.size() == 3 || line[3] == ' ' || line[3] == '\t' || line[3] == '\r')) {
      auto rest = line.substr(3);
      if (rest.find_first_not_of(" \t\r") == std::string_view::npos || rest.find_first_not_of(" \t") == rest.find('#')) return out;
      if (out.find_first_not_of(" \t\r\n") == std::string::npos) {   // "--- value": the document begins on this line
        out = std::string(rest) + "\n";
        continue;
      }
      text = here;   // the next document begins on this line
      return out;
    }
    out.append(line).append(1, '\n');
  }
  return out;
}

}  // namespace

Result<std::vector<Json>> yaml_documents(std::string_view text) {
  try {
    std::vector<Json> out;
    std::size_t budget = 300000;
    // yaml-cpp's LoadAll does not end on some malformed texts (",,"), so documents are separated here.
    while (!text.empty()) {
      auto document = next_document(text);
      if (document.find_first_not_of(" \t\r\n") == std::string::npos) continue;
      auto json = convert(YAML::Load(document), 0, budget);
      if (!json.is_null()) out.push_back(std::move(json));
    }
    return out;
  } catch (const TooLarge&) {
    return bad_request("the YAML is too large or too deeply nested");
  } catch (const std::exception& e) {
    return bad_request(fmt::format("error converting YAML to JSON: {}", e.what()));
  }
}

Result<Json> yaml_to_json(std::string_view text) {
  NV_TRY(auto documents, yaml_documents(text));
  if (documents.size() != 1) return bad_request(fmt::format("one YAML document is expected, not {}", documents.size()));
  return std::move(documents.front());
}

std::string json_to_yaml(const Json& value) {
  std::string out;
  emit(out, value, 0, false);
  return out;
}

}  // namespace nodevirt::apiserver
