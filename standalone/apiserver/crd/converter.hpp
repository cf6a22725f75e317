// Objects in another served version of their kind: by name only, or by the definition's webhook.
#pragma once
#include <string>
#include <vector>

#include "pkg/base/async.hpp"
#include "pkg/base/json.hpp"
#include "standalone/apiserver/server_state.hpp"

namespace nodevirt::apiserver {

class Converter {
 public:
  explicit Converter(ServerState& state) : s_(state) {}

  Awaitable<Result<Json>> to_version(ResourcePtr resource, Json object, std::string version);
  /// All of them with one call of the webhook; the order is kept.
  Awaitable<Result<std::vector<Json>>> to_version(ResourcePtr resource, std::vector<Json> objects, std::string version);
  /// Whether stored bytes are already right for this version.
  static bool same(const ResourceInfo& resource, const std::string& version);

 private:
  ServerState& s_;
};

}  // namespace nodevirt::apiserver
