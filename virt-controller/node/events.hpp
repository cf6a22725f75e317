// Events about nodes and the instances on them.
#pragma once
#include "virt-controller/context.hpp"

namespace nodevirt::virt_controller::node {

void node_unresponsive(Context& c, const NodeObject& node);
void node_unresponsive(Context& c, const KubevirtObject& instance);

}  // namespace nodevirt::virt_controller::node
