// VirtualMachineInstance -> launcher pod, and back.
#pragma once
#include <memory>

#include "pkg/runtime/controller.hpp"
#include "virt-controller/context.hpp"

namespace nodevirt::virt_controller::vmi {

class VmiController {
 public:
  /// Subscribes to the informers; before they run.
  explicit VmiController(Context& context);
  ~VmiController();
  Awaitable<void> run(StopToken stop);
  void enqueue(std::string key);
  bool idle() const;

 private:
  struct Impl;
  std::shared_ptr<Impl> impl_;
};

}  // namespace nodevirt::virt_controller::vmi
