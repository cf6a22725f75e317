#include "standalone/schema/field_set.hpp"

#include "standalone/schema/validator.hpp"

namespace nodevirt::schema {

namespace {

/// ".name", "[name=\"a\",port=80]", "[=\"x\"]", "[0]"
std::string spelled(const std::string& element) {
  const std::string rest = element.substr(2);
  switch (element[0]) {
    case 'f': return "." + rest;
    case 'i': return "[" + rest + "]";
    case 'v': return "[=" + rest + "]";
    default: break;
  }
  std::string out = "[";
  if (auto key = parse_json(rest); key && key->is_object())
    for (auto& [k, v] : key->items()) out += (out.size() > 1 ? "," : "") + k + "=" + dump_json(v);
  return out + "]";
}

void collect(const FieldSet& set, const std::string& path, std::vector<std::string>& out) {
  if (set.member) out.push_back(path);
  for (const auto& [element, child] : set.children) collect(child, path + spelled(element), out);
}

Result<std::string> element_of(const std::string& text) {
  const Error bad(Code::InvalidArgument, "Invalid", "fieldsV1: \"" + text.substr(0, 64) + "\" is no path element");
  if (text.size() < 2 || text[1] != ':') return bad;
  switch (text[0]) {
    case 'f': return text;
    case 'i': return text.find_first_not_of("0123456789-", 2) == std::string::npos && text.size() > 2 ? Result<std::string>(text) : bad;
    case 'v':
    case 'k': {
      // In one spelling, whatever the client's.
      auto value = parse_json(std::string_view(text).substr(2));
      if (!value || (text[0] == 'k' && (!value->is_object() || value->empty()))) return bad;
      return text.substr(0, 2) + dump_json(*value);
    }
    default: return bad;
  }
}

Result<FieldSet> decode_at(const Json& fields, int depth) {
  FieldSet set;
  if (depth > kMaxDepth) return Error(Code::InvalidArgument, "Invalid", "fieldsV1: nested too deeply");
  if (!fields.is_object()) return Error(Code::InvalidArgument, "Invalid", "fieldsV1: must be an object");
  if (fields.empty() && depth > 0) set.member = true;
  for (auto& [name, value] : fields.items()) {
    if (name == ".") {
      set.member = depth > 0;
      continue;
    }
    NV_TRY(std::string element, element_of(name));
    NV_TRY(FieldSet child, decode_at(value, depth + 1));
    set.children[element].unite(child);
  }
  return set;
}

}  // namespace

std::string field_element(std::string_view name) { return "f:" + std::string(name); }

const FieldSet* FieldSet::child(const std::string& element) const {
  auto it = children.find(element);
  return it == children.end() ? nullptr : &it->second;
}

void FieldSet::unite(const FieldSet& other) {
  member = member || other.member;
  for (const auto& [element, child] : other.children) children[element].unite(child);
}

void FieldSet::subtract(const FieldSet& other) {
  if (other.member) member = false;
  for (const auto& [element, theirs] : other.children) {
    auto it = children.find(element);
    if (it == children.end()) continue;
    it->second.subtract(theirs);
    if (it->second.empty()) children.erase(it);
  }
}

FieldSet FieldSet::intersected(const FieldSet& other) const {
  FieldSet out;
  out.member = member && other.member;
  for (const auto& [element, mine] : children) {
    const FieldSet* theirs = other.child(element);
    if (!theirs) continue;
    FieldSet both = mine.intersected(*theirs);
    if (!both.empty()) out.children.emplace(element, std::move(both));
  }
  return out;
}

void FieldSet::compact() {
  for (auto it = children.begin(); it != children.end();) {
    it->second.compact();
    it = it->second.empty() ? children.erase(it) : std::next(it);
  }
}

std::vector<std::string> FieldSet::paths() const {
  std::vector<std::string> out;
  collect(*this, "", out);
  return out;
}

Json FieldSet::encode() const {
  Json out = Json::object();
  if (member && !children.empty()) out["."] = Json::object();
  for (const auto& [element, child] : children)
    if (!child.empty()) out[element] = child.encode();
  return out;
}

Result<FieldSet> FieldSet::decode(const Json& fields) {
  NV_TRY(FieldSet set, decode_at(fields, 0));
  set.compact();
  return set;
}

}  // namespace nodevirt::schema
