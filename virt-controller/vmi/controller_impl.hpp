// What stands behind VmiController: one object, its parts in several files.
#pragma once
#include <unordered_map>

#include "virt-controller/vmi/controller.hpp"
#include "virt-controller/vmi/plan.hpp"
#include "virt-controller/vmi/pod.hpp"

namespace nodevirt::virt_controller::vmi {

struct VmiController::Impl {
  explicit Impl(Context& c) : ctx(c) {}

  /// One reconcile: what was seen, and what came of it. The coroutines below are awaited by that one, which holds the Impl.
  struct Round {
    std::string key, ns, name, uid;
    Json object;
    Observation seen;
    Plan plan;
    std::optional<Error> failure;
    bool pod_confirmed_gone = false, fenced = false, never_armed = false;
  };
  struct Pending {
    std::string uid;
    Clock::Time until;
  };

  // controller.cpp
  static Awaitable<Result<runtime::Action>> reconcile(std::shared_ptr<Impl> self, std::string key);

  // look.cpp: how things stand, from the caches alone
  void look(Round& r);
  void look_at_unarmed(Round& r);
  PodOptions pod_options(const Round& r) const;

  // steps.cpp: what the plan asks for
  Awaitable<Result<void>> take_step(Round* r);
  Awaitable<Result<void>> initialize(Round* r);
  Awaitable<Result<void>> create_pod(Round* r);
  Awaitable<Result<void>> delete_pods(Round* r);
  Awaitable<Result<void>> remove_instance_finalizer(Round* r);
  Awaitable<Result<bool>> pod_is_gone(Round* r);
  Awaitable<Result<bool>> machine_needs_it(Round* r);

  // lost_node.cpp: pods whose node does not answer
  Awaitable<Result<void>> fence(Round* r);
  Awaitable<Result<void>> force_pods(Round* r);
  Awaitable<Result<void>> drop_pods(Round* r);
  Awaitable<Result<bool>> confirm_no_guest(Round* r);
  Awaitable<Result<void>> remove_pods_at_once(Round* r, std::string how);

  // report.cpp: what is written of it
  Awaitable<Result<void>> write_status(Round* r);
  Awaitable<Result<void>> open_gate(Round* r);

  Context& ctx;
  std::unordered_map<std::string, Pending> created;           ///< by key: pods made for the uid, not yet shown by the watch
  std::unordered_map<std::string, Clock::Time> podless_since; ///< by instance uid
  std::unordered_map<std::string, Clock::Time> unarmed_since; ///< by instance uid
  std::unique_ptr<runtime::Controller> queue;
};

}  // namespace nodevirt::virt_controller::vmi
