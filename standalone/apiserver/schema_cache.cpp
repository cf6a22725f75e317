#include "standalone/apiserver/schema_cache.hpp"

#include <malloc.h>

#include "standalone/apiserver/store/store.hpp"
#include "standalone/schema/builtin.hpp"

namespace nodevirt::apiserver {

namespace {

// The end of the value that starts at `at`.
std::size_t skip_value(std::string_view t, std::size_t at) {
  int depth = 0;
  for (; at < t.size(); ++at) {
    char c = t[at];
    if (c == '"') {
      for (++at; at < t.size() && t[at] != '"'; ++at) if (t[at] == '\\') ++at;
      if (depth == 0) return std::min(at + 1, t.size());
    } else if (c == '{' || c == '[') {
      ++depth;
    } else if (c == '}' || c == ']') {
      if (depth == 0) return at;
      if (--depth == 0) return at + 1;
    } else if (c == ',' && depth == 0) {
      return at;
    }
  }
  return t.size();
}

}  // namespace

std::string_view raw_member(std::string_view text, std::string_view key) {
  if (text.empty() || text[0] != '{') return {};
  std::size_t at = 1;
  while (at < text.size() && text[at] == '"') {
    auto end = skip_value(text, at);
    auto name = text.substr(at + 1, end - at - 2);
    if (end >= text.size() || text[end] != ':') return {};
    auto value_end = skip_value(text, end + 1);
    if (name == key) return text.substr(end + 1, value_end - end - 1);
    at = value_end;
    if (at < text.size() && text[at] == ',') ++at;
  }
  return {};
}

std::vector<std::string_view> raw_elements(std::string_view array) {
  std::vector<std::string_view> out;
  if (array.empty() || array[0] != '[') return out;
  std::size_t at = 1;
  while (at < array.size() && array[at] != ']') {
    auto end = skip_value(array, at);
    if (end == at) break;  // no array: a bracket of another kind ends it
    out.push_back(array.substr(at, end - at));
    at = end;
    if (at < array.size() && array[at] == ',') ++at;
  }
  return out;
}

Result<Json> SchemaCache::raw_schema(const ResourceInfo& info, const std::string& version) const {
  const std::string id = "customresourcedefinitions.apiextensions.k8s.io";
  auto stored = store_.get(id, "", info.crd);
  if (!stored) return Error(Code::NotFound, "NotFound", "the definition of " + info.kind + " is gone");
  NV_TRY(auto text, store_.text(id, stored));
  for (auto v : raw_elements(raw_member(raw_member(*text, "spec"), "versions")))
    if (raw_member(v, "name") == "\"" + version + "\"") {
      auto raw = raw_member(raw_member(v, "schema"), "openAPIV3Schema");
      if (raw.empty()) return Json(nullptr);
      return parse_json(raw, 512);
    }
  return Json(nullptr);
}

SchemaCache::Entry& SchemaCache::entry(const ResourceInfo& info, const std::string& version) {
  auto& e = entries_[info.id + "/" + version + "/" + info.group];
  if (e.revision != info.crd_revision) e = Entry{info.crd_revision, nullptr, nullptr};
  return e;
}

Result<ValidatorPtr> SchemaCache::validator(const ResourceInfo& info, const std::string& version) {
  if (!info.custom) return schema::builtin_schema(info.group, version, info.kind);
  auto& e = entry(info, version);
  if (!e.validator) {
    NV_TRY(auto raw, raw_schema(info, version));
    if (raw.is_null()) return ValidatorPtr();
    NV_TRY(e.validator, schema::Validator::compile(raw));
    raw = nullptr;
    ::malloc_trim(0);   // the parsed schema was megabytes
  }
  return e.validator;
}

std::shared_ptr<const schema::TableFormat> SchemaCache::table(const ResourceInfo& info, const std::string& version) {
  if (!info.custom) return schema::TableFormat::builtin(info.group, info.kind);
  auto& e = entry(info, version);
  if (!e.table) {
    const auto* v = info.version(version);
    auto made = schema::TableFormat::custom(v ? v->columns : Json());
    if (!made.ok()) made = schema::TableFormat::custom(Json());
    e.table = made.ok() ? *made : schema::TableFormat::builtin(info.group, info.kind);
  }
  return e.table;
}

}  // namespace nodevirt::apiserver
