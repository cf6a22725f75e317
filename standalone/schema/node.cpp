#include "standalone/schema/node.hpp"

#include <algorithm>

namespace nodevirt::schema {

const Node* Node::member(std::string_view name) const {
  auto at = std::lower_bound(members.begin(), members.end(), name,
                             [](const Member& m, std::string_view x) { return m.name < x; });
  if (at != members.end() && at->name == name) return at->node;
  return additional;
}

std::string Path::text() const {
  std::string out = parent ? parent->text() : std::string();
  if (index >= 0) return out + "[" + std::to_string(index) + "]";
  if (name.empty() && !parent) return out;
  if (key) return out + "[" + std::string(name.substr(0, 256)) + "]";
  if (!out.empty()) out += '.';
  return out.append(name.substr(0, 256));
}

std::string_view type_name(const Json& v) {
  switch (v.type()) {
    case Json::value_t::object: return "object";
    case Json::value_t::array: return "array";
    case Json::value_t::string: return "string";
    case Json::value_t::boolean: return "boolean";
    case Json::value_t::number_integer:
    case Json::value_t::number_unsigned: return "integer";
    case Json::value_t::number_float: return "number";
    default: return "null";
  }
}

std::string quoted(const Json& v) {
  constexpr std::size_t kLimit = 512;
  std::string text = dump_json(v);
  if (text.size() > kLimit) {
    std::size_t cut = kLimit;
    while (cut > 0 && (static_cast<unsigned char>(text[cut]) & 0xC0) == 0x80) --cut;
    text.resize(cut);
    text += "...";
  }
  return text;
}

std::string canonical_key(const Node& list, const Json& element) {
  if (list.list_type != ListType::Map) return dump_json(element);
  Json key = Json::object();
  for (std::string_view k : list.list_map_keys) {
    const Json* v = element.is_object() && element.contains(k) ? &element.at(std::string(k)) : nullptr;
    if ((!v || v->is_null()) && list.items)
      if (const Node* n = list.items->member(k)) v = n->default_value;
    if (v) key[std::string(k)] = *v;
  }
  return dump_json(key);
}

}  // namespace nodevirt::schema
