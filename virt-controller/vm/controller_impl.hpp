// What stands behind VmController: one object, its parts in several files.
#pragma once
#include <unordered_map>

#include "virt-controller/vm/controller.hpp"
#include "virt-controller/vm/machine.hpp"
#include "virt-controller/vm/plan.hpp"
#include "virt-controller/vm/revisions.hpp"
#include "virt-controller/vm/volumes.hpp"

namespace nodevirt::virt_controller::vm {

struct VmController::Impl {
  explicit Impl(Context& c) : ctx(c), revisions(c.client) {}

  struct Pending {
    std::string uid;
    Clock::Time until;
  };
  /// One reconcile: what was seen, and what came of it. The coroutines below are awaited by that one, which holds the Impl.
  struct Round {
    std::string key;
    Json object;
    Machine machine;
    std::optional<Json> instance_object;
    std::optional<Instance> instance;
    Plan plan;
    std::optional<Error> failure;
    bool restart_required = false;
    std::string restart_reason;
    Json moving;                       ///< volumes that are about to move (volumes.hpp)
    bool own() const { return instance && owns(machine, &*instance); }
  };

  // controller.cpp
  static Awaitable<Result<runtime::Action>> reconcile(std::shared_ptr<Impl> self, std::string key);
  void look(Round& r);
  bool is_pending(std::unordered_map<std::string, Pending>& map, const std::string& key);

  // steps.cpp: what the plan asks for
  Awaitable<Result<void>> take_step(Round* r);
  Awaitable<Result<void>> change_finalizer(Round* r, bool add);
  Awaitable<Result<void>> create_instance(Round* r);
  Awaitable<Result<void>> delete_instance(Round* r);
  Awaitable<Result<void>> adopt_instance(Round* r);
  Awaitable<Result<void>> switch_on(Round* r);

  // running.cpp: changes that reach a guest that runs
  Awaitable<Result<void>> update_volumes(Round* r);
  Awaitable<Result<void>> compare_template(Round* r);
  Awaitable<Result<void>> patch_own_instance(Round* r, Json patch, const char* what);
  VolumesPlan plan_volumes_of(const Round& r) const;

  // report.cpp: the machine's status
  Awaitable<Result<void>> write_status(Round* r);
  Json wanted_status(Round& r, bool switched_on);
  bool claims_unbound(const Round& r) const;

  Context& ctx;
  Revisions revisions;
  std::unordered_map<std::string, Pending> created, deleted;   ///< by key: our writes that the watch has not shown
  std::unique_ptr<runtime::Controller> queue;
};

}  // namespace nodevirt::virt_controller::vm
