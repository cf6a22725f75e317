// The Node object of this node, and its lease.
#pragma once
#include "pkg/client/client.hpp"
#include "standalone/podrunner/options.hpp"

namespace nodevirt::podrunner {

/// The Node as it is created. Pure but for what the machine says of itself (`machine`).
struct MachineInfo {
  std::string machine_id, boot_id, kernel, os_image, architecture;
  static MachineInfo read();
};
Json node_object(const Options& options, const MachineInfo& machine);
/// The part of the status that the runner owns, for a strategic merge patch: others' capacities (devices)
/// and conditions stay.
Json node_status(const Options& options, const MachineInfo& machine, const Json& old_conditions, const std::string& now);

/// Registers the Node (labels that are there stay), renews its lease every 10 s and its status every 5 minutes.
/// Until stopped.
Awaitable<void> run_node_agent(client::Client client, Clock& clock, const Options& options, StopToken stop);

}  // namespace nodevirt::podrunner
