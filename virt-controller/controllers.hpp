// All that works on the objects: the informers, and one controller per kind.
#pragma once
#include <memory>

#include "virt-controller/context.hpp"
#include "virt-controller/evacuation/controller.hpp"
#include "virt-controller/migration/controller.hpp"
#include "virt-controller/node/controller.hpp"
#include "virt-controller/vm/controller.hpp"
#include "virt-controller/vmi/controller.hpp"
#include "virt-controller/volume_move/controller.hpp"

namespace nodevirt::virt_controller {

class Controllers {
 public:
  Controllers(Executor executor, client::Client client, Clock& clock, Options options);

  /// Follows the server until stopped; also without leading, so that a new leader starts warm.
  Awaitable<void> follow(StopToken stop);
  /// Reconciles until stopped, from the moment that every cache is complete.
  Awaitable<void> lead(StopToken stop);
  bool synced() const;
  bool idle() const;
  bool leading() const { return leading_; }
  const Context& context() const { return context_; }
  const migration::MigrationInformer& migrations() const { return migration_caches_.migrations; }

 private:
  Awaitable<void> run_all(StopToken stop);

  Executor executor_;
  KubevirtInformer machines_, instances_;
  PodInformer pods_;
  NodeInformer nodes_;
  ClaimInformer claims_;
  LeaseInformer leases_;
  fence::Fences fences_;
  migration::Caches migration_caches_;
  runtime::EventRecorder events_;
  Context context_;
  vm::VmController vm_;
  vmi::VmiController vmi_;
  node::NodeController node_;
  migration::MigrationController migration_;
  evacuation::EvacuationController evacuation_;
  volume_move::VolumeMoveController volume_move_;
  bool leading_ = false;
};

}  // namespace nodevirt::virt_controller
