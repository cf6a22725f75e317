// Writes into aggregated ClusterRoles the rules that they stand for, so that people can read them; the
// authorizer computes them itself.
#pragma once
#include "standalone/controllers/loop.hpp"

namespace nodevirt::controllers {

class AggregatedRoles final : public Loop {
 public:
  explicit AggregatedRoles(ServerState& state) : Loop(state, "aggregated roles", "clusterroles.rbac.authorization.k8s.io") {}

 protected:
  void resync() override;
  void on_event(const Event& event) override;
  Awaitable<Result<void>> reconcile(std::string name) override;
};

}  // namespace nodevirt::controllers
