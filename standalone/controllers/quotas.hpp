// ResourceQuotas' status.used; what a quota allows is checked by the server when objects are created.
#pragma once
#include "standalone/controllers/loop.hpp"

namespace nodevirt::controllers {

class QuotaStatus final : public Loop {
 public:
  explicit QuotaStatus(ServerState& state) : Loop(state, "quotas", "") {}

 protected:
  void resync() override;
  void on_event(const Event& event) override;
  Awaitable<Result<void>> reconcile(std::string key) override;
};

}  // namespace nodevirt::controllers
