#include "standalone/apiserver/resources/registry.hpp"

#include <algorithm>

#include "standalone/apiserver/resources/strategy.hpp"

namespace nodevirt::apiserver {

Registry::Registry() {
  for (auto& info : builtin_resources()) {
    auto r = std::make_shared<ResourceInfo>(std::move(info));
    r->strategy = &strategy_of(*r);
    builtin_.push_back(std::move(r));
  }
}

ResourcePtr Registry::find(const std::string& group, const std::string& plural) const {
  for (const auto& r : builtin_) if (r->group == group && r->plural == plural) return r;
  auto it = custom_.find(plural + "." + group);
  return it != custom_.end() && it->second->established && it->second->plural == plural ? it->second : nullptr;
}

ResourcePtr Registry::find_kind(const std::string& group, const std::string& kind) const {
  for (const auto& r : builtin_) if (r->group == group && r->kind == kind) return r;
  for (const auto& [name, r] : custom_) if (r->established && r->group == group && r->kind == kind) return r;
  return nullptr;
}

ResourcePtr Registry::by_id(const std::string& id) const {
  for (const auto& r : builtin_) if (r->id == id) return r;
  auto it = custom_.find(id);
  return it == custom_.end() ? nullptr : it->second;
}

std::vector<ResourcePtr> Registry::in(const std::string& group, const std::string& version) const {
  std::vector<ResourcePtr> out;
  for (const auto& r : all()) if (r->group == group && r->version(version)) out.push_back(r);
  return out;
}

std::vector<std::string> Registry::versions(const std::string& group) const {
  std::vector<std::string> out;
  for (const auto& r : all())
    if (r->group == group)
      for (const auto& v : r->versions)
        if (v.served && std::find(out.begin(), out.end(), v.name) == out.end()) out.push_back(v.name);
  std::stable_sort(out.begin(), out.end(), version_precedes);
  return out;
}

std::vector<std::string> Registry::groups() const {
  std::vector<std::string> out;
  for (const auto& r : all())
    if (std::find(out.begin(), out.end(), r->group) == out.end()) out.push_back(r->group);
  return out;
}

std::vector<ResourcePtr> Registry::all() const {
  auto out = builtin_;
  for (const auto& [name, r] : custom_) if (r->established) out.push_back(r);
  std::stable_sort(out.begin() + std::ptrdiff_t(builtin_.size()), out.end(),
                   [](const auto& a, const auto& b) { return a->group < b->group; });
  return out;
}

void Registry::put_custom(ResourceInfo info) {
  auto r = std::make_shared<ResourceInfo>(std::move(info));
  r->strategy = &strategy_of(*r);
  auto name = r->crd;
  custom_[name] = std::move(r);
  ++generation_;
}

void Registry::remove_custom(const std::string& crd) {
  if (custom_.erase(crd)) ++generation_;
}

ResourcePtr Registry::custom(const std::string& crd) const {
  auto it = custom_.find(crd);
  return it == custom_.end() ? nullptr : it->second;
}

std::vector<ResourcePtr> Registry::customs() const {
  std::vector<ResourcePtr> out;
  for (const auto& [name, r] : custom_) out.push_back(r);
  return out;
}

}  // namespace nodevirt::apiserver
