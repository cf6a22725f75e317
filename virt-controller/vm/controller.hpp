// VirtualMachine -> VirtualMachineInstance.
#pragma once
#include <memory>

#include "pkg/runtime/controller.hpp"
#include "virt-controller/context.hpp"

namespace nodevirt::virt_controller::vm {

/// Every step may be repeated after any crash: instances have the machine's name, deletions name a uid,
/// patches test what they saw.
class VmController {
 public:
  /// Subscribes to the informers; before they run.
  explicit VmController(Context& context);
  ~VmController();
  Awaitable<void> run(StopToken stop);
  bool idle() const;

 private:
  struct Impl;
  std::shared_ptr<Impl> impl_;
};

}  // namespace nodevirt::virt_controller::vm
