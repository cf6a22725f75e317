// What becomes of an instance when its node is to be emptied. Pure.
#pragma once
#include <string>
#include <vector>

#include "pkg/base/json.hpp"

namespace nodevirt::virtctl {

struct Evacuee {
  enum class Fate {
    Evict,      ///< its pod is to be evicted: the instance is marked, and virt-controller migrates it
    Moves,      ///< it is marked already
    Ends,       ///< it is on its way to its end
    Stays,      ///< it would be shut down, or cannot move
  };
  std::string ns, name, uid;
  std::int64_t priority = 0;
  Fate fate = Fate::Stays;
  std::string why;                 ///< in words: how far it is, or why it stays
  std::string key() const { return ns + "/" + name; }
};

/// The instances of a node, those of a higher pod priority first. `fallback` is the cluster's eviction strategy;
/// with `shut_down` those that cannot be migrated are evicted too.
std::vector<Evacuee> evacuees(const Json& instances, const Json& pods, const Json& migrations, const std::string& node,
                              const std::string& fallback, bool shut_down);

}  // namespace nodevirt::virtctl
