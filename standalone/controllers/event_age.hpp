// Events (the objects) are kept for an hour after their last change, as on any cluster.
#pragma once
#include "standalone/controllers/loop.hpp"

namespace nodevirt::controllers {

class EventAge final : public Loop {
 public:
  explicit EventAge(ServerState& state) : Loop(state, "events", "events") {}

 protected:
  void resync() override;
  void on_event(const Event& event) override;
  Awaitable<Result<void>> reconcile(std::string key) override;

 private:
  std::map<std::string, std::chrono::steady_clock::time_point> touched_;
};

}  // namespace nodevirt::controllers
