// Emptying the node: every launcher pod is evicted through the API server, which honours budgets and
// the instances' eviction strategies.
#pragma once
#include <functional>

#include "pkg/client/client.hpp"
#include "virt-handler/agent/node_view.hpp"

namespace nodevirt::virt_handler {

struct DrainOptions {
  client::Client client;
  Clock& clock;
  NodeView& view;
  Clock::Duration timeout{};   ///< 0: none
  std::function<void(agent_v1::DrainProgress)> progress;
};

/// Returns when no instance is left; DeadlineExceeded or Cancelled otherwise. Refused evictions are asked for
/// again every few seconds.
Awaitable<Result<void>> drain_node(DrainOptions options, StopToken stop);

}  // namespace nodevirt::virt_handler
