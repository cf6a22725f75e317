#include "standalone/apiserver/handlers/negotiation.hpp"

#include <algorithm>
#include <map>
#include <set>

#include <fmt/format.h>

#include "standalone/apiserver/errors.hpp"
#include "standalone/apiserver/wire/protobuf.hpp"

namespace nodevirt::apiserver {

namespace {

std::string trim_lower(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  std::string out(text);
  for (auto& c : out) c = char(std::tolower(static_cast<unsigned char>(c)));
  return out;
}

struct Range {
  std::string type;
  std::map<std::string, std::string> params;
};

std::vector<Range> parse_accept(std::string_view text) {
  std::vector<Range> out;
  while (!text.empty() && out.size() < 32) {
    auto comma = std::min(text.find(','), text.size());
    auto part = text.substr(0, comma);
    Range r;
    bool first = true;
    while (!part.empty()) {
      auto semi = std::min(part.find(';'), part.size());
      auto piece = part.substr(0, semi);
      if (first) {
        r.type = trim_lower(piece);
      } else if (auto eq = piece.find('='); eq != std::string_view::npos) {
        auto value = piece.substr(eq + 1);
        while (!value.empty() && value.back() == ' ') value.remove_suffix(1);
        r.params[trim_lower(piece.substr(0, eq))] = std::string(value);
      }
      first = false;
      part.remove_prefix(std::min(semi + 1, part.size()));
    }
    if (!r.type.empty()) out.push_back(std::move(r));
    text.remove_prefix(std::min(comma + 1, text.size()));
  }
  return out;
}

}  // namespace

std::string media_type(std::string_view header) { return trim_lower(header.substr(0, header.find(';'))); }

Result<AnswerForm> negotiate(std::string_view accept) {
  auto ranges = parse_accept(accept);
  if (ranges.empty()) return AnswerForm{};
  for (const auto& r : ranges) {
    bool json = r.type == "application/json" || r.type == "*/*" || r.type == "application/*";
    bool yaml = r.type == "application/yaml";
    if (!json && !yaml) continue;
    AnswerForm form;
    form.yaml = yaml;
    auto as = r.params.find("as");
    if (as == r.params.end()) return form;
    auto g = r.params.find("g"), v = r.params.find("v");
    if (g != r.params.end() && g->second != "meta.k8s.io") continue;
    if (v != r.params.end()) form.version = v->second;
    if (form.version != "v1" && form.version != "v1beta1") continue;
    if (as->second == "Table") form.kind = AnswerForm::Kind::Table;
    else if (as->second == "PartialObjectMetadata") form.kind = AnswerForm::Kind::PartialMetadata;
    else if (as->second == "PartialObjectMetadataList") form.kind = AnswerForm::Kind::PartialMetadataList;
    else continue;
    return form;
  }
  return not_acceptable("only the following media types are accepted: application/json, application/yaml");
}

Result<Decoded> decode_body(std::string_view content_type, std::string_view body) {
  auto type = media_type(content_type);
  Decoded out;
  if (type == "application/vnd.kubernetes.protobuf") {
    NV_TRY(out.object, wire::decode_protobuf(body));
    return out;
  }
  if (type == "application/yaml" || type == "application/apply-patch+yaml") {
    // JSON is YAML, and is what nearly every client sends.
    auto first = body.find_first_not_of(" \t\r\n");
    if (first == std::string_view::npos || (body[first] != '{' && body[first] != '[')) {
      NV_TRY(out.object, yaml_to_json(body));
      return out;
    }
  } else if (!type.empty() && type != "application/json" && !type.ends_with("+json")) {
    return unsupported_media_type(fmt::format("the body of the request was in an unknown format - accepted media types include: application/json, application/yaml (not {})", type));
  }
  NV_TRY(out.object, parse_json(body, 512));   // bounds depth and syntax before the second reading below
  if (!out.object.is_object() && !out.object.is_array()) return bad_request("the body must be a JSON object");

  // Fields given twice: cheap to see, as the parser calls back for every key.
  std::vector<std::set<std::string>> seen;
  std::vector<std::string> path;
  auto callback = [&](int, Json::parse_event_t event, Json& parsed) {
    if (event == Json::parse_event_t::object_start) {
      seen.emplace_back();
      path.emplace_back();
    } else if (event == Json::parse_event_t::object_end) {
      seen.pop_back();
      path.pop_back();
    } else if (event == Json::parse_event_t::key) {
      const auto& key = parsed.get_ref<const std::string&>();
      path.back() = key;
      if (!seen.back().insert(key).second && out.duplicates.size() < 100) out.duplicates.push_back(fmt::format("{}", fmt::join(path, ".")));
    }
    return true;
  };
  auto again = Json::parse(body.begin(), body.end(), callback, false);
  (void)again;
  return out;
}

}  // namespace nodevirt::apiserver
