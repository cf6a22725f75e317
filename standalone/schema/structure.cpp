#include "standalone/schema/structure.hpp"

#include <unordered_map>
#include <unordered_set>

#include "standalone/schema/validator.hpp"

namespace nodevirt::schema {

namespace {

enum class Shape { Leaf, Map, List };

/// How a value is taken apart. Without a schema, maps are granular and lists atomic.
Shape shape_of(const Json& v, const Node* n, int depth) {
  if (depth > kMaxDepth) return Shape::Leaf;
  if (v.is_object()) {
    if (n && (n->atomic_map || (n->lenient && n->type == Type::Any))) return Shape::Leaf;
    return Shape::Map;
  }
  if (v.is_array() && n && n->type == Type::Array && n->list_type != ListType::Atomic) return Shape::List;
  return Shape::Leaf;
}

const Node* member_of(const Node* n, const std::string& name) { return n ? n->member(name) : nullptr; }

bool is_named(const Node* n, std::string_view name) {
  if (!n) return false;
  auto at = std::lower_bound(n->members.begin(), n->members.end(), name,
                             [](const Node::Member& m, std::string_view x) { return m.name < x; });
  return at != n->members.end() && at->name == name;
}

/// The path element of a list's item; empty when a key is missing or the item is no such thing.
std::string item_element(const Node& list, const Json& item) {
  if (list.list_type == ListType::Set) return item.is_structured() || item.is_null() ? std::string() : "v:" + dump_json(item);
  if (!item.is_object()) return {};
  Json key = Json::object();
  for (std::string_view k : list.list_map_keys) {
    auto it = item.find(k);
    const Json* v = it == item.end() || it->is_null() ? nullptr : &*it;
    if (!v && list.items)
      if (const Node* m = list.items->member(k)) v = m->default_value;
    if (!v || v->is_structured()) return {};
    key[std::string(k)] = *v;
  }
  return "k:" + dump_json(key);
}

std::string missing_key(const Node& list, const Json& item) {
  if (!item.is_object()) return "an element of this list must be an object";
  for (std::string_view k : list.list_map_keys) {
    const Node* m = list.items ? list.items->member(k) : nullptr;
    if (item.contains(k) && !item.at(std::string(k)).is_null()) {
      if (item.at(std::string(k)).is_structured()) return "key field \"" + std::string(k) + "\" must be a scalar";
    } else if (!m || !m->default_value) {
      return "element omits key field \"" + std::string(k) + "\" (and it has no default)";
    }
  }
  return "element has no key";
}

Error bad(const Path& path, const std::string& what) {
  return Error(Code::InvalidArgument, "BadRequest", (path.text().empty() ? std::string("object") : "." + path.text()) + ": " + what);
}

Result<void> name_fields(const Json& v, const Node* n, FieldSet& out, const Path& path, bool duplicates, int depth);

Result<void> name_items(const Json& v, const Node& n, FieldSet& out, const Path& path, bool duplicates, int depth) {
  std::unordered_map<std::string, int> seen;
  for (const Json& e : v) ++seen[item_element(n, e)];
  for (std::size_t i = 0; i < v.size(); ++i) {
    const std::string element = item_element(n, v[i]);
    Path at{&path, {}, std::int64_t(i)};
    if (element.empty()) {
      if (duplicates) continue;
      return bad(at, n.list_type == ListType::Set ? "a set holds scalars only" : missing_key(n, v[i]));
    }
    FieldSet& child = out.children[element];
    child.member = true;
    if (seen[element] > 1) {
      if (!duplicates) return bad(at, "duplicate entries for key " + element.substr(2));
      continue;
    }
    NV_TRY_VOID(name_fields(v[i], n.items, child, at, duplicates, depth + 1));
  }
  return {};
}

Result<void> name_fields(const Json& v, const Node* n, FieldSet& out, const Path& path, bool duplicates, int depth) {
  switch (shape_of(v, n, depth)) {
    case Shape::Leaf:
      out.member = true;
      return {};
    case Shape::List: return name_items(v, *n, out, path, duplicates, depth);
    case Shape::Map: break;
  }
  for (auto it = v.begin(); it != v.end(); ++it) {
    const Json& value = *it;
    Path at{&path, it.key(), -1};
    FieldSet child;
    NV_TRY_VOID(name_fields(value, member_of(n, it.key()), child, at, duplicates, depth + 1));
    if (value.is_null() || (value.is_object() && value.empty()) || !is_named(n, it.key())) child.member = true;
    if (!child.empty()) out.children[field_element(it.key())] = std::move(child);
  }
  return {};
}

/// Everything in a value that appeared or vanished.
void mark_all(const Json& v, const Node* n, FieldSet& out, int depth) {
  out.member = true;
  switch (shape_of(v, n, depth)) {
    case Shape::Leaf: return;
    case Shape::List:
      for (const Json& e : v)
        if (std::string element = item_element(*n, e); !element.empty()) mark_all(e, n->items, out.children[element], depth + 1);
      return;
    case Shape::Map:
      for (auto it = v.begin(); it != v.end(); ++it)
        mark_all(*it, member_of(n, it.key()), out.children[field_element(it.key())], depth + 1);
  }
}

struct Comparer {
  void walk(const Json* a, const Json* b, const Node* n, FieldSet& added, FieldSet& removed, FieldSet& modified, int depth) {
    if (!a) return mark_all(*b, n, added, depth);
    if (!b) return mark_all(*a, n, removed, depth);
    const Shape sa = shape_of(*a, n, depth), sb = shape_of(*b, n, depth);
    const bool both_empty = a->empty() && b->empty();
    if (sa != sb || sa == Shape::Leaf || both_empty) {
      if (*a == *b) return;
      modified.member = true;
      if (sa == sb) return;
      // What was below one of them came or went with it.
      if (sa != Shape::Leaf) below(*a, n, removed, depth);
      if (sb != Shape::Leaf) below(*b, n, added, depth);
      return;
    }
    if (sa == Shape::Map) maps(*a, *b, n, added, removed, modified, depth);
    else lists(*a, *b, *n, added, removed, modified, depth);
  }

  static void below(const Json& v, const Node* n, FieldSet& out, int depth) {
    const bool before = out.member;
    mark_all(v, n, out, depth);
    out.member = before;
  }

  void child(const Json* a, const Json* b, const Node* n, const std::string& element, FieldSet& added, FieldSet& removed,
             FieldSet& modified, int depth) {
    if (a && b && *a == *b) return;
    FieldSet x, y, z;
    walk(a, b, n, x, y, z, depth + 1);
    if (!x.empty()) added.children[element].unite(x);
    if (!y.empty()) removed.children[element].unite(y);
    if (!z.empty()) modified.children[element].unite(z);
  }

  void maps(const Json& a, const Json& b, const Node* n, FieldSet& added, FieldSet& removed, FieldSet& modified, int depth) {
    for (auto it = a.begin(); it != a.end(); ++it) {
      auto other = b.find(it.key());
      child(&*it, other == b.end() ? nullptr : &*other, member_of(n, it.key()), field_element(it.key()), added, removed, modified, depth);
    }
    for (auto it = b.begin(); it != b.end(); ++it)
      if (!a.contains(it.key()))
        child(nullptr, &*it, member_of(n, it.key()), field_element(it.key()), added, removed, modified, depth);
  }

  void lists(const Json& a, const Json& b, const Node& n, FieldSet& added, FieldSet& removed, FieldSet& modified, int depth) {
    using Items = std::map<std::string, std::pair<std::vector<const Json*>, std::vector<const Json*>>>;
    Items items;
    for (const Json& e : a)
      if (std::string k = item_element(n, e); !k.empty()) items[k].first.push_back(&e);
    for (const Json& e : b)
      if (std::string k = item_element(n, e); !k.empty()) items[k].second.push_back(&e);
    for (const auto& [element, sides] : items) {
      const auto& [was, is] = sides;
      if (was.size() <= 1 && is.size() <= 1) {
        child(was.empty() ? nullptr : was[0], is.empty() ? nullptr : is[0], n.items, element, added, removed, modified, depth);
      } else if (was.size() > 1 && is.size() > 1) {
        const bool same = std::equal(was.begin(), was.end(), is.begin(), is.end(), [](const Json* x, const Json* y) { return *x == *y; });
        if (!same) modified.children[element].member = true;
      } else if (was.size() > 1) {
        if (!is.empty()) child(nullptr, is[0], n.items, element, added, removed, modified, depth);
        removed.children[element].member = true;
      } else {
        if (!was.empty()) child(was[0], nullptr, n.items, element, added, removed, modified, depth);
        added.children[element].member = true;
      }
    }
  }
};

Json merge_value(const Json& live, const Json& config, const Node* n, int depth);

Json merge_items(const Json& live, const Json& config, const Node& n, int depth) {
  std::vector<std::string> left, right;
  std::unordered_map<std::string, const Json*> by_left, by_right;
  for (const Json& e : live) {
    left.push_back(item_element(n, e));
    auto [it, fresh] = by_left.emplace(left.back(), &e);
    if (!fresh) it->second = nullptr;  // doubled items are replaced, not merged with
  }
  for (const Json& e : config) {
    right.push_back(item_element(n, e));
    by_right.emplace(right.back(), &e);
  }
  Json out = Json::array();
  std::size_t r = 0;
  auto take_right = [&] {
    auto l = by_left.find(right[r]);
    const Json& mine = *by_right[right[r]];
    out.push_back(l == by_left.end() || !l->second ? mine : merge_value(*l->second, mine, n.items, depth + 1));
    ++r;
  };
  auto next_shared = [&](std::size_t from) {
    while (from < right.size() && !by_left.count(right[from])) ++from;
    return from;
  };
  for (std::size_t l = 0; l < left.size(); ++l) {
    if (!by_right.count(left[l]) || left[l].empty()) {
      out.push_back(live[l]);
      continue;
    }
    // A shared item stands where config's order puts it.
    const std::size_t shared = next_shared(r);
    if (shared == right.size() || right[shared] != left[l]) continue;
    while (r <= shared) take_right();
  }
  while (r < right.size()) take_right();
  return out;
}

Json merge_value(const Json& live, const Json& config, const Node* n, int depth) {
  const Shape shape = shape_of(config, n, depth);
  if (shape == Shape::Leaf || shape != shape_of(live, n, depth)) return config;
  if (shape == Shape::List) return merge_items(live, config, *n, depth);
  Json out = live;
  for (auto it = config.begin(); it != config.end(); ++it) {
    auto mine = out.find(it.key());
    if (mine == out.end()) out[it.key()] = *it;
    else *mine = merge_value(*mine, *it, member_of(n, it.key()), depth + 1);
  }
  return out;
}

void name_ancestors(FieldSet& set, const Node* n) {
  for (auto& [element, child] : set.children) {
    const Node* next = nullptr;
    if (element.starts_with("f:")) {
      const std::string name = element.substr(2);
      if (!child.children.empty() && is_named(n, name)) child.member = true;
      next = member_of(n, name);
    } else if (n) {
      next = n->items;
    }
    name_ancestors(child, next);
  }
}

void remove_from(Json& v, const FieldSet& set, const Node* n, int depth) {
  const Shape shape = shape_of(v, n, depth);
  if (shape == Shape::Leaf) return;
  if (shape == Shape::List) {
    Json kept = Json::array();
    for (Json& e : v) {
      const std::string element = item_element(*n, e);
      const FieldSet* here = set.child(element);
      if (here && here->member) continue;
      if (here) remove_from(e, *here, n->items, depth + 1);
      kept.push_back(std::move(e));
    }
    v = std::move(kept);
    return;
  }
  for (const auto& [element, here] : set.children) {
    if (!element.starts_with("f:")) continue;
    const std::string name = element.substr(2);
    auto it = v.find(name);
    if (it == v.end()) continue;
    if (here.member) v.erase(it);
    else remove_from(*it, here, member_of(n, name), depth + 1);
  }
}

}  // namespace

Result<FieldSet> fields_of(const Json& object, const Node* schema, bool allow_duplicates) {
  FieldSet out;
  NV_TRY_VOID(name_fields(object, schema, out, Path{}, allow_duplicates, 0));
  out.member = false;
  return out;
}

Difference compare(const Json& before, const Json& now, const Node* schema) {
  Difference d;
  Comparer{}.walk(&before, &now, schema, d.added, d.removed, d.modified, 0);
  d.added.member = d.removed.member = d.modified.member = false;
  return d;
}

Json merge_config(const Json& live, const Json& config, const Node* schema) { return merge_value(live, config, schema, 0); }

FieldSet with_named_fields(const FieldSet& set, const Node* schema) {
  FieldSet out = set;
  name_ancestors(out, schema);
  return out;
}

void remove_fields(Json& object, const FieldSet& set, const Node* schema) { remove_from(object, set, schema, 0); }

void reconcile_with_schema(FieldSet& set, const Node* n) {
  if (!n) return;
  for (auto& [element, child] : set.children) {
    const Node* next = element.starts_with("f:") ? n->member(element.substr(2)) : n->items;
    if (!next) continue;
    const bool atomic = (next->type == Type::Array && next->list_type == ListType::Atomic) || next->atomic_map;
    if (atomic && !child.children.empty()) {
      child.children.clear();
      child.member = true;
    } else {
      reconcile_with_schema(child, next);
    }
  }
}

}  // namespace nodevirt::schema
