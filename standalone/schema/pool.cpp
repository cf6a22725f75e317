#include "standalone/schema/pool.hpp"

namespace nodevirt::schema {

namespace {

void mix(std::size_t& h, std::size_t v) { h ^= v + 0x9e3779b97f4a7c15ULL + (h << 6) + (h >> 2); }

std::size_t hash_of(const Node& n) {
  std::size_t h = std::size_t(n.type) * 31 + std::size_t(n.format) * 7 + n.members.size();
  for (const auto& m : n.members) {
    mix(h, reinterpret_cast<std::size_t>(m.name.data()));
    mix(h, reinterpret_cast<std::size_t>(m.node));
  }
  for (auto r : n.required) mix(h, reinterpret_cast<std::size_t>(r.data()));
  mix(h, reinterpret_cast<std::size_t>(n.items));
  mix(h, reinterpret_cast<std::size_t>(n.additional));
  mix(h, reinterpret_cast<std::size_t>(n.default_value));
  return h;
}

bool same(const Constraints* a, const Constraints* b) {
  if (!a || !b) return a == b;
  return a->enumeration == b->enumeration && a->pattern == b->pattern && a->has_minimum == b->has_minimum &&
         a->has_maximum == b->has_maximum && a->exclusive_minimum == b->exclusive_minimum &&
         a->exclusive_maximum == b->exclusive_maximum && a->minimum == b->minimum && a->maximum == b->maximum &&
         a->multiple_of == b->multiple_of && a->min_length == b->min_length && a->max_length == b->max_length &&
         a->min_items == b->min_items && a->max_items == b->max_items && a->min_properties == b->min_properties &&
         a->max_properties == b->max_properties && a->all_of == b->all_of && a->any_of == b->any_of &&
         a->one_of == b->one_of && a->negated == b->negated;
}

bool same(const Node& a, const Node& b) {
  auto members = [](const Node& x, const Node& y) {
    if (x.members.size() != y.members.size()) return false;
    for (std::size_t i = 0; i < x.members.size(); ++i)
      if (x.members[i].name.data() != y.members[i].name.data() || x.members[i].node != y.members[i].node) return false;
    return true;
  };
  return a.type == b.type && a.format == b.format && a.list_type == b.list_type && a.nullable == b.nullable &&
         a.preserve_unknown == b.preserve_unknown && a.resource == b.resource && a.atomic_map == b.atomic_map &&
         a.any_member == b.any_member && a.lenient == b.lenient && a.patch_merge == b.patch_merge &&
         a.patch_retain_keys == b.patch_retain_keys && a.patch_replace == b.patch_replace && members(a, b) && a.required == b.required &&
         a.list_map_keys == b.list_map_keys && a.patch_merge_key == b.patch_merge_key && a.items == b.items &&
         a.additional == b.additional && a.default_value == b.default_value &&
         same(a.constraints.get(), b.constraints.get());
}

}  // namespace

std::string_view Validator::Pool::intern(std::string_view text) {
  if (text.empty()) return {};
  return *names.emplace(text).first;
}

const Json* Validator::Pool::keep(const Json& value) {
  for (const Json& v : values)
    if (v.type() == value.type() && v == value) return &v;
  return &values.emplace_back(value);
}

const Node* Validator::Pool::share(Node&& node) {
  node.members.shrink_to_fit();
  node.required.shrink_to_fit();
  const std::size_t h = hash_of(node);
  auto [first, last] = shared.equal_range(h);
  for (auto it = first; it != last; ++it)
    if (same(*it->second, node)) return it->second;
  const Node* kept = &nodes.emplace_back(std::move(node));
  shared.emplace(h, kept);
  return kept;
}

Result<const re2::RE2*> Validator::Pool::pattern(const std::string& text, const std::string& where) {
  auto it = patterns.find(text);
  if (it == patterns.end()) {
    re2::RE2::Options o;
    o.set_log_errors(false);
    o.set_max_mem(1 << 20);
    o.set_never_capture(true);
    auto compiled = std::make_unique<re2::RE2>(text, o);
    if (!compiled->ok())
      return Error(Code::InvalidArgument, "Invalid", where + ".pattern: Invalid value: \"" + text +
                   "\": must be a valid regular expression: " + compiled->error());
    it = patterns.emplace(text, std::move(compiled)).first;
  }
  return static_cast<const re2::RE2*>(it->second.get());
}

void Validator::Pool::finish() { std::unordered_multimap<std::size_t, const Node*>().swap(shared); }

Validator::Validator() : pool_(std::make_unique<Pool>()) {}
Validator::~Validator() = default;

}  // namespace nodevirt::schema
