// The name map: which name stands for which image of the cache.
#pragma once
#include <filesystem>
#include <map>
#include <string>

#include "pkg/base/result.hpp"

namespace nodevirt::images {

struct NameEntry {
  std::string digest;
  bool local = false;        ///< a person mapped it: wins over the registry, whatever the pull policy
  std::string source;        ///< where it came from, as given
  std::string time;          ///< RFC 3339
};

/// The file names.json. Keys are Reference::key(). Whoever changes it holds the store's lock.
class NameMap {
 public:
  /// A file that is missing is an empty map; one that does not parse is an error, never overwritten.
  static Result<NameMap> load(const std::filesystem::path& file);
  Result<void> save(const std::filesystem::path& file) const;
  const NameEntry* find(const std::string& key) const;
  std::map<std::string, NameEntry> names;
};

}  // namespace nodevirt::images
