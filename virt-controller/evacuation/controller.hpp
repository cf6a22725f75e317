// Nodes that are to be emptied: migrations for the instances that an eviction or the drain taint sends away.
#pragma once
#include <memory>

#include "pkg/runtime/controller.hpp"
#include "virt-controller/context.hpp"
#include "virt-controller/migration/objects.hpp"

namespace nodevirt::virt_controller::evacuation {

/// An instance's status.evacuationNodeName is taken away again when it is on another node.
class EvacuationController {
 public:
  EvacuationController(Context& context, migration::Caches& caches);
  ~EvacuationController();
  Awaitable<void> run(StopToken stop);
  bool idle() const;

 private:
  struct Impl;
  std::shared_ptr<Impl> impl_;
};

}  // namespace nodevirt::virt_controller::evacuation
