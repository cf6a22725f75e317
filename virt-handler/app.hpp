// virt-handler: one per node, the only privileged program. Follows the instances bound to its node,
// prepares the pods' networks, tells the launchers what to do, writes the instances' status, serves
// console and VNC streams to virt-api, publishes the node's abilities and heartbeat.
#pragma once
#include <string>
#include <vector>

namespace nodevirt::virt_handler {

/// Runs until SIGTERM or SIGINT. `args` without argv[0]. The exit status: 0, 1 (failed), 2 (usage).
int run(std::vector<std::string> args);

}  // namespace nodevirt::virt_handler
