// VirtualMachineInstanceMigration -> a target pod, the instance's migrationState, and what is left when it ended.
#pragma once
#include <memory>

#include "pkg/runtime/controller.hpp"
#include "virt-controller/context.hpp"
#include "virt-controller/migration/objects.hpp"

namespace nodevirt::virt_controller::migration {

/// Finalised migrations that are kept of each instance.
inline constexpr std::size_t kKeptFinalised = 5;

class MigrationController {
 public:
  MigrationController(Context& context, Caches& caches);
  ~MigrationController();
  Awaitable<void> run(StopToken stop);
  bool idle() const;

 private:
  struct Impl;
  std::shared_ptr<Impl> impl_;
};

}  // namespace nodevirt::virt_controller::migration
