// ControllerRevisions: what a machine's spec was when its instance was made.
#pragma once
#include <unordered_set>

#include "pkg/client/client.hpp"

namespace nodevirt::virt_controller::vm {

class Revisions {
 public:
  explicit Revisions(client::Client client) : client_(std::move(client)) {}
  /// Makes the revision of the machine's present generation, once; older ones of the machine are removed.
  Awaitable<Result<void>> remember(const Json& machine);
  /// The spec that the revision holds.
  Awaitable<Result<Json>> spec_of(std::string ns, std::string name);

 private:
  Awaitable<Result<void>> make(Json revision);
  client::Client client_;
  std::unordered_set<std::string> known_;   ///< names that we know to be there
};

}  // namespace nodevirt::virt_controller::vm
