#include "pkg/k8s/merge_patch.hpp"

namespace nodevirt::k8s {

namespace {

void merge(Json& target, const Json& patch) {
  if (!patch.is_object()) {
    target = patch;
    return;
  }
  if (!target.is_object()) target = Json::object();
  for (auto it = patch.begin(); it != patch.end(); ++it) {
    if (it->is_null()) target.erase(it.key());
    else merge(target[it.key()], *it);
  }
}

}  // namespace

Json apply_merge_patch(Json doc, const Json& patch) {
  merge(doc, patch);
  return doc;
}

Json make_merge_patch(const Json& from, const Json& to) {
  if (!from.is_object() || !to.is_object()) return to;
  Json patch = Json::object();
  for (auto it = from.begin(); it != from.end(); ++it)
    if (!to.contains(it.key())) patch[it.key()] = nullptr;
  for (auto it = to.begin(); it != to.end(); ++it) {
    auto old = from.find(it.key());
    if (old == from.end()) patch[it.key()] = *it;
    else if (*old != *it) patch[it.key()] = make_merge_patch(*old, *it);
  }
  return patch;
}

}  // namespace nodevirt::k8s
