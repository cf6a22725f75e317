// Instances whose volumes are to move to other claims -> a migration, and after one that failed another one.
#pragma once
#include <memory>

#include "pkg/runtime/controller.hpp"
#include "virt-controller/context.hpp"
#include "virt-controller/migration/objects.hpp"

namespace nodevirt::virt_controller::volume_move {

class VolumeMoveController {
 public:
  VolumeMoveController(Context& context, migration::Caches& caches);
  ~VolumeMoveController();
  Awaitable<void> run(StopToken stop);
  bool idle() const;

 private:
  struct Impl;
  std::shared_ptr<Impl> impl_;
};

}  // namespace nodevirt::virt_controller::volume_move
