// Nodes whose virt-handler does not beat any more: no new guests there, and a word to whom it concerns.
#pragma once
#include <memory>

#include "pkg/runtime/controller.hpp"
#include "virt-controller/context.hpp"

namespace nodevirt::virt_controller::node {

/// A node that does not answer is only marked. What ran there may still run: its instances stay as they are
/// until their pods are known to be gone.
class NodeController {
 public:
  /// `wake` is told the keys of instances that concern a node which died or came back.
  NodeController(Context& context, std::function<void(std::string)> wake);
  ~NodeController();
  Awaitable<void> run(StopToken stop);
  bool idle() const;

 private:
  struct Impl;
  std::shared_ptr<Impl> impl_;
};

}  // namespace nodevirt::virt_controller::node
