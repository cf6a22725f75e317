// What node agents get to see, gathered on the program's executor.
#pragma once
#include "api/proto/node_agent.pb.h"
#include "pkg/runtime/informer.hpp"
#include "virt-handler/instances/launchers.hpp"

namespace nodevirt::virt_handler {

namespace agent_v1 = nodevirt::nodeagent::v1;

class NodeView {
 public:
  NodeView(std::string node, Launchers& launchers, runtime::Informer<InstanceObject>& instances)
      : node_(std::move(node)), launchers_(launchers), instances_(instances) {}
  const std::string& node() const { return node_; }
  agent_v1::Instance instance(const Launcher& launcher) const;
  agent_v1::ListResponse list() const;
  /// Of one instance by uid, or of all. Launchers that do not answer are left out.
  Awaitable<agent_v1::StatisticsResponse> statistics(std::string uid) const;
  Launchers& launchers() const { return launchers_; }

 private:
  std::string node_;
  Launchers& launchers_;
  runtime::Informer<InstanceObject>& instances_;
};

}  // namespace nodevirt::virt_handler
