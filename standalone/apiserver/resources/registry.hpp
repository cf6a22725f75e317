// Every resource that is served: the built-in ones, and those of established definitions. It is kept in
// step with the stored definitions by Server, and counts its changes for caches of what is derived.
#pragma once
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "standalone/apiserver/resources/resource_info.hpp"

namespace nodevirt::apiserver {

class Registry {
 public:
  Registry();

  ResourcePtr find(const std::string& group, const std::string& plural) const;
  ResourcePtr find_kind(const std::string& group, const std::string& kind) const;
  ResourcePtr by_id(const std::string& id) const;
  /// Served resources of a group version, in the order of registration and name.
  std::vector<ResourcePtr> in(const std::string& group, const std::string& version) const;
  /// The versions that are served of a group, preferred first; empty when there is no such group.
  std::vector<std::string> versions(const std::string& group) const;
  /// All groups: the core group "" first, then built-in ones, then others by name.
  std::vector<std::string> groups() const;
  std::vector<ResourcePtr> all() const;

  /// Adds or replaces what a definition serves.
  void put_custom(ResourceInfo info);
  void remove_custom(const std::string& crd);
  /// Established or not: what this definition last said.
  ResourcePtr custom(const std::string& crd) const;
  std::vector<ResourcePtr> customs() const;
  std::uint64_t generation() const { return generation_; }

 private:
  std::vector<ResourcePtr> builtin_;
  std::map<std::string, ResourcePtr> custom_;   // by the definition's name
  std::uint64_t generation_ = 1;
};

}  // namespace nodevirt::apiserver
