// The status of PodDisruptionBudgets, which evictions rest on.
#pragma once
#include "standalone/controllers/loop.hpp"

namespace nodevirt::controllers {

class Budgets final : public Loop {
 public:
  explicit Budgets(ServerState& state) : Loop(state, "disruption budgets", "") {}

 protected:
  void resync() override;
  void on_event(const Event& event) override;
  Awaitable<Result<void>> reconcile(std::string key) override;
};

/// The status that a budget has with these pods (those that its selector matches). Pure.
Json budget_status(const Json& budget, const std::vector<Json>& pods, Clock::WallTime now);

}  // namespace nodevirt::controllers
