#include "virt-controller/node/events.hpp"

namespace nodevirt::virt_controller::node {

void node_unresponsive(Context& c, const NodeObject& node) {
  c.events.event({"v1", "Node", "", node.meta.name, node.meta.uid, ""}, "Warning", "NodeUnresponsive",
                 "virt-handler on this node does not answer; no new virtual machines are placed here");
}

void node_unresponsive(Context& c, const KubevirtObject& instance) {
  c.events.event({"kubevirt.io/v1", "VirtualMachineInstance", instance.meta.ns, instance.meta.name, instance.meta.uid, ""}, "Warning",
                 "NodeUnresponsive", "virt-handler on node " + instance.node +
                     " does not answer; the instance is left as it is until its pod is known to be gone");
}

}  // namespace nodevirt::virt_controller::node
