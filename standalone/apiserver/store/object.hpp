// One stored version of one object: its bytes, and the few fields that selectors need.
#pragma once
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>

namespace nodevirt::apiserver {

using Pairs = std::map<std::string, std::string>;

/// What is decoded from an object once, when it is written, and kept beside its bytes.
struct ObjectIndex {
  std::string uid;
  Pairs labels;
  Pairs fields;         ///< selectable fields beyond metadata.name and metadata.namespace
  std::string summary;  ///< compact JSON: of a CRD all but its schemas; of others what garbage collection looks at

  std::string encode() const;
  static ObjectIndex decode(std::string_view text);
};

/// Immutable. `text` is null when the object is large and is not held in memory: Store::text loads it.
struct StoredObject {
  std::int64_t revision = 0;
  std::string ns, name;
  ObjectIndex index;
  std::shared_ptr<const std::string> text;
  std::string key() const { return ns.empty() ? name : ns + "/" + name; }
};
using StoredPtr = std::shared_ptr<const StoredObject>;

}  // namespace nodevirt::apiserver
