#include "standalone/schema/node.hpp"
#include "standalone/schema/validator.hpp"

namespace nodevirt::schema {

namespace {

constexpr std::size_t kMaxDropped = 100;

struct Pruner {
  std::vector<std::string>* dropped;

  void drop(const Path& path) {
    if (dropped && dropped->size() < kMaxDropped) dropped->push_back(path.text());
  }

  /// `node` may be nullptr: below x-kubernetes-preserve-unknown-fields nothing is specified, all is kept.
  void walk(const Node& node, Json& value, const Path& path, int depth) {
    if (depth > kMaxDepth) return;
    if (value.is_array()) {
      if (!node.items) return;
      for (std::size_t i = 0; i < value.size(); ++i) {
        Path at{&path, {}, std::int64_t(i)};
        walk(*node.items, value[i], at, depth + 1);
      }
      return;
    }
    if (!value.is_object()) return;
    auto& object = value.get_ref<Json::object_t&>();
    const bool keeps = node.preserve_unknown || node.any_member ||
                       (node.type == Type::Any && node.members.empty() && !node.additional);
    for (auto it = object.begin(); it != object.end();) {
      const Node* member = node.member(it->first);
      Path at{&path, it->first, -1};
      if (member) {
        if (member->lenient && it->second.is_null()) {
          it = object.erase(it);
          continue;
        }
        walk(*member, it->second, at, depth + 1);
      } else if (!keeps) {
        drop(at);
        it = object.erase(it);
        continue;
      }
      ++it;
    }
  }
};

void fill_defaults(const Node& node, Json& value, int depth) {
  if (!node.has_defaults || depth > kMaxDepth) return;
  if (value.is_array()) {
    if (node.items)
      for (auto& e : value) {
        if (e.is_null() && !node.items->nullable && node.items->default_value) e = *node.items->default_value;
        fill_defaults(*node.items, e, depth + 1);
      }
    return;
  }
  if (!value.is_object()) return;
  for (const auto& m : node.members) {
    auto it = value.find(m.name);
    const bool absent = it == value.end() || (it->is_null() && !m.node->nullable) ||
                        (m.node->lenient && it->is_string() && it->get_ref<const std::string&>().empty());
    if (absent && m.node->default_value) value[std::string(m.name)] = *m.node->default_value;
    else if (it != value.end() && it->is_null() && !m.node->nullable && m.node->lenient) value.erase(it);
  }
  for (auto it = value.begin(); it != value.end(); ++it) {
    const Node* member = node.member(it.key());
    if (!member) continue;
    if (it->is_null() && !member->nullable && member->default_value) *it = *member->default_value;
    fill_defaults(*member, *it, depth + 1);
  }
}

}  // namespace

void Validator::prune(Json& object, std::vector<std::string>* dropped_paths) const {
  Pruner pruner{dropped_paths};
  pruner.walk(*root_, object, Path{}, 0);
}

void Validator::apply_defaults(Json& object) const { fill_defaults(*root_, object, 0); }

}  // namespace nodevirt::schema
