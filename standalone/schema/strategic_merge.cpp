#include "standalone/schema/strategic_merge.hpp"

#include <unordered_map>
#include <unordered_set>

#include "standalone/schema/node.hpp"

namespace nodevirt::schema {

namespace {

constexpr std::string_view kPatch = "$patch";
constexpr std::string_view kRetainKeys = "$retainKeys";
constexpr std::string_view kDeletePrefix = "$deleteFromPrimitiveList/";
constexpr std::string_view kOrderPrefix = "$setElementOrder/";

Error bad(std::string message) { return Error(Code::InvalidArgument, "BadRequest", std::move(message)); }

/// What a patch may say of a field; a null node is a field that the schema does not know.
struct Field {
  const Node* node = nullptr;
  bool merges() const { return node && node->patch_merge; }
  bool replaces() const { return node && node->patch_replace; }
  std::string_view key() const { return node ? node->patch_merge_key : std::string_view(); }
  const Node* items() const { return node ? node->items : nullptr; }
};

/// The identity of a list element: its merge key's value, or a primitive itself; empty when it has none.
std::string identity(const Json& element, std::string_view key) {
  if (key.empty()) return element.is_structured() ? std::string() : dump_json(element);
  if (!element.is_object()) return {};
  auto it = element.find(key);
  return it == element.end() ? std::string() : dump_json(*it);
}

using Order = std::unordered_map<std::string, std::size_t>;

Order order_of(const Json& list, std::string_view key) {
  Order out;
  if (list.is_array())
    for (std::size_t i = 0; i < list.size(); ++i)
      if (std::string id = identity(list[i], key); !id.empty()) out.emplace(std::move(id), i);
  return out;
}

/// Elements named by the patch stand in the patch's order, those of the server alone in the server's;
/// the two are interleaved so that the server's order holds where it says something about a pair.
Json arrange(Json merged, const Order& patch_order, const Order& server_order, std::string_view key) {
  struct Item {
    std::size_t rank;
    std::string id;
    Json* value;
  };
  std::vector<Item> patched, server;
  for (Json& e : merged) {
    std::string id = identity(e, key);
    if (auto p = patch_order.find(id); p != patch_order.end()) {
      patched.push_back({p->second, std::move(id), &e});
    } else {
      auto s = server_order.find(id);
      server.push_back({s == server_order.end() ? SIZE_MAX : s->second, std::move(id), &e});
    }
  }
  auto by_rank = [](const Item& a, const Item& b) { return a.rank < b.rank; };
  std::stable_sort(patched.begin(), patched.end(), by_rank);
  std::stable_sort(server.begin(), server.end(), by_rank);
  Json out = Json::array();
  auto s = server.begin();
  for (Item& p : patched) {
    auto mine = server_order.find(p.id);
    while (s != server.end() && mine != server_order.end() && s->rank < mine->second) out.push_back(std::move(*(s++)->value));
    out.push_back(std::move(*p.value));
  }
  for (; s != server.end(); ++s) out.push_back(std::move(*s->value));
  return out;
}

class Merger {
 public:
  Result<Json> map(Json original, const Json& patch, const Node* node, int depth);

 private:
  Result<void> retain_keys(Json& original, const Json& patch);
  Result<void> field(Json& original, const std::string& name, const Json& value, const Json* order, Field meta, int depth);
  Result<Json> list(Json original, const Json& patch, Field meta, int depth);
  Result<void> merge_elements(Json& merged, const Json& patch, Field meta, int depth);
  static Result<void> check_order(const Json& patch, const Json& order, std::string_view key);
  /// A value that is new: directives taken out, nulls in maps dropped. False when it is itself a deletion.
  static bool strip(Json& value, int depth);
};

bool Merger::strip(Json& value, int depth) {
  if (depth > kMaxDepth) return true;
  if (value.is_object()) {
    if (auto d = value.find(kPatch); d != value.end()) {
      if (*d == "delete") return false;
      value.erase(d);
    }
    for (auto it = value.begin(); it != value.end();) {
      const std::string& k = it.key();
      if (k == kRetainKeys || k.starts_with(kDeletePrefix) || k.starts_with(kOrderPrefix) || it->is_null() || !strip(*it, depth + 1))
        it = value.erase(it);
      else
        ++it;
    }
  } else if (value.is_array()) {
    for (std::size_t i = 0; i < value.size();) {
      const bool only_directive = value[i].is_object() && value[i].size() == 1 && value[i].contains(kPatch);
      if (only_directive || !strip(value[i], depth + 1)) value.erase(i);
      else ++i;
    }
  }
  return true;
}

Result<void> Merger::retain_keys(Json& original, const Json& patch) {
  auto it = patch.find(kRetainKeys);
  if (it == patch.end()) return {};
  if (!it->is_array()) return bad("invalid patch: $retainKeys must be a list");
  std::unordered_set<std::string> keep;
  for (const Json& k : *it) {
    if (!k.is_string()) return bad("invalid patch: $retainKeys must be a list of names");
    keep.insert(k.get<std::string>());
  }
  for (auto& [k, v] : patch.items())
    if (!v.is_null() && k != kRetainKeys && !k.starts_with(kDeletePrefix) && !k.starts_with(kOrderPrefix) && !keep.count(k))
      return bad("invalid patch: $retainKeys does not name " + k + ", which the patch sets");
  for (auto m = original.begin(); m != original.end();)
    m = keep.count(m.key()) ? std::next(m) : original.erase(m);
  return {};
}

Result<Json> Merger::map(Json original, const Json& patch, const Node* node, int depth) {
  if (depth > kMaxDepth) return bad("invalid patch: nested too deeply");
  if (auto d = patch.find(kPatch); d != patch.end()) {
    if (*d == "replace") {
      Json out = patch;
      out.erase(std::string(kPatch));
      strip(out, depth);
      return out;
    }
    if (*d == "delete") return Json::object();
    if (*d != "merge") return bad("invalid patch: unknown $patch directive " + quoted(*d));
  }
  if (!original.is_object()) original = Json::object();
  NV_TRY_VOID(retain_keys(original, patch));
  for (auto& [name, value] : patch.items()) {
    if (name == kPatch || name == kRetainKeys) continue;
    if (name.starts_with(kDeletePrefix)) {
      const std::string target = name.substr(kDeletePrefix.size());
      auto it = original.find(target);
      if (!value.is_array()) return bad("invalid patch: " + name + " must be a list");
      if (it == original.end() || !it->is_array()) continue;
      std::unordered_set<std::string> gone;
      for (const Json& v : value) gone.insert(dump_json(v));
      auto& elements = it->get_ref<Json::array_t&>();
      std::erase_if(elements, [&](const Json& e) { return gone.count(dump_json(e)) > 0; });
    }
  }
  for (auto& [name, value] : patch.items()) {
    if (name == kPatch || name == kRetainKeys || name.starts_with(kDeletePrefix)) continue;
    Field meta;
    if (name.starts_with(kOrderPrefix)) {
      const std::string target = name.substr(kOrderPrefix.size());
      if (!value.is_array()) return bad("invalid patch: " + name + " must be a list");
      if (patch.contains(target)) continue;  // taken with the list itself
      meta.node = node ? node->member(target) : nullptr;
      auto it = original.find(target);
      if (it != original.end() && it->is_array())
        *it = arrange(*it, order_of(value, meta.key()), order_of(*it, meta.key()), meta.key());
      continue;
    }
    meta.node = node ? node->member(name) : nullptr;
    auto order = patch.find(std::string(kOrderPrefix) + name);
    NV_TRY_VOID(field(original, name, value, order == patch.end() ? nullptr : &*order, meta, depth));
  }
  return original;
}

Result<void> Merger::field(Json& original, const std::string& name, const Json& value, const Json* order, Field meta, int depth) {
  if (value.is_null()) {
    original.erase(name);
    return {};
  }
  auto it = original.find(name);
  // Only two of a kind merge; anything else takes the patch's value.
  const bool both = it != original.end() && ((it->is_object() && value.is_object()) || (it->is_array() && value.is_array()));
  if (order) {
    if (!order->is_array() || !value.is_array()) return bad("invalid patch: $setElementOrder/" + name + " needs a list");
    NV_TRY_VOID(check_order(value, *order, meta.key()));
  }
  if (meta.node && ((value.is_array() && meta.node->type == Type::Object) || (value.is_object() && meta.node->type == Type::Array)))
    return bad("invalid patch: " + name + " has the wrong type: " + std::string(type_name(value)));
  if (!both) {
    Json fresh = value;
    if (strip(fresh, depth)) original[name] = std::move(fresh);
    else original.erase(name);
    return {};
  }
  if (value.is_object()) {
    if (meta.replaces() && !value.contains(kPatch)) {
      Json fresh = value;
      strip(fresh, depth);
      *it = std::move(fresh);
      return {};
    }
    auto d = value.find(kPatch);
    if (d != value.end() && *d == "delete") {
      original.erase(name);
      return {};
    }
    NV_TRY(*it, map(std::move(*it), value, meta.node, depth + 1));
    return {};
  }
  const Order server = order_of(*it, meta.key());
  NV_TRY(Json merged, list(std::move(*it), value, meta, depth));
  if (order) merged = arrange(std::move(merged), order_of(*order, meta.key()), server, meta.key());
  *it = std::move(merged);
  return {};
}

Result<void> Merger::check_order(const Json& patch, const Json& order, std::string_view key) {
  std::size_t at = 0;
  for (const Json& e : patch) {
    if (e.is_object() && e.contains(kPatch)) continue;
    const std::string id = identity(e, key);
    while (at < order.size() && identity(order[at], key) != id) ++at;
    if (at == order.size()) return bad("invalid patch: the order in the list does not match its $setElementOrder");
  }
  return {};
}

Result<Json> Merger::list(Json original, const Json& patch, Field meta, int depth) {
  if (depth > kMaxDepth) return bad("invalid patch: nested too deeply");
  if (!meta.merges()) {
    Json fresh = patch;
    strip(fresh, depth);
    return fresh;
  }
  const std::string_view key = meta.key();
  const Order server = order_of(original, key), wanted = order_of(patch, key);
  Json merged = std::move(original);
  if (key.empty()) {
    std::unordered_set<std::string> seen;
    Json out = Json::array();
    for (const Json* part : {static_cast<const Json*>(&merged), &patch})
      for (const Json& e : *part) {
        if (e.is_structured()) return bad("cannot merge lists without merge key");
        if (seen.insert(dump_json(e)).second) out.push_back(e);
      }
    merged = std::move(out);
  } else {
    NV_TRY_VOID(merge_elements(merged, patch, meta, depth));
  }
  return arrange(std::move(merged), wanted, server, key);
}

Result<void> Merger::merge_elements(Json& merged, const Json& patch, Field meta, int depth) {
  const std::string_view key = meta.key();
  for (const Json& e : patch)
    if (!e.is_object()) return bad("invalid patch: expected a list of objects");
  std::unordered_set<std::string> deleted;
  bool replace = false;
  for (const Json& e : patch) {
    auto d = e.find(kPatch);
    if (d == e.end()) continue;
    if (*d == "replace") replace = true;
    else if (*d != "delete") return bad("invalid patch: unknown $patch directive in a list: " + quoted(*d));
    else if (!e.contains(key)) return bad("map: " + quoted(e) + " does not contain declared merge key: " + std::string(key));
    else deleted.insert(identity(e, key));
  }
  if (replace) merged = Json::array();
  auto& elements = merged.get_ref<Json::array_t&>();
  std::erase_if(elements, [&](const Json& e) { return deleted.count(identity(e, key)) > 0; });
  Order at = order_of(merged, key);
  for (const Json& e : patch) {
    if (e.contains(kPatch)) continue;
    if (!e.contains(key)) return bad("map: " + quoted(e) + " does not contain declared merge key: " + std::string(key));
    const std::string id = identity(e, key);
    if (auto found = at.find(id); found != at.end()) {
      NV_TRY(merged[found->second], map(std::move(merged[found->second]), e, meta.items(), depth + 1));
    } else {
      Json fresh = e;
      strip(fresh, depth);
      at.emplace(id, merged.size());
      merged.push_back(std::move(fresh));
    }
  }
  return {};
}

Result<void> merge_plain(Json& target, const Json& patch, int depth) {
  if (depth > kMaxDepth) return bad("invalid patch: nested too deeply");
  if (!patch.is_object()) {
    target = patch;
    return {};
  }
  if (!target.is_object()) target = Json::object();
  for (auto& [name, value] : patch.items()) {
    if (value.is_null()) target.erase(name);
    else NV_TRY_VOID(merge_plain(target[name], value, depth + 1));
  }
  return {};
}

}  // namespace

Result<Json> strategic_merge(const Json& original, const Json& patch, const Validator& schema) {
  if (!patch.is_object()) return bad("invalid patch: must be an object");
  return Merger{}.map(original, patch, &schema.root(), 0);
}

Result<Json> json_merge(const Json& original, const Json& patch) {
  Json out = original;
  NV_TRY_VOID(merge_plain(out, patch, 0));
  return out;
}

}  // namespace nodevirt::schema
