// What stands behind MigrationController: one object, its parts in several files.
#pragma once
#include <unordered_map>
#include <unordered_set>

#include "virt-controller/migration/controller.hpp"
#include "virt-controller/migration/plan.hpp"
#include "virt-controller/migration/queue.hpp"
#include "virt-controller/vmi/pod.hpp"

namespace nodevirt::virt_controller::migration {

struct MigrationController::Impl {
  Impl(Context& c, Caches& k) : ctx(c), caches(k) {}

  /// One look at one migration, and what came of it. Lives as long as its reconcile; the coroutines below are awaited by that
  /// one, which holds the Impl.
  struct Round {
    std::string key, ns, name, uid;
    MigrationInformer::Ptr cached;
    Json object;
    std::optional<Json> instance;
    Observation seen;
    Plan plan;
    std::string waits, quota;
    bool done = true;
  };

  // look.cpp: how things stand, from the caches alone
  void look(Round& r);
  void look_at_instance(Round& r);
  void look_at_pods(Round& r);
  std::string obstacle_of(const Round& r) const;
  QueueLimits limits() const;
  std::vector<QueueEntry> unfinished() const;
  /// The pod that the guest runs in; null when it is not known.
  PodInformer::Ptr source_pod(const Round& r) const;

  // steps.cpp: what the plan asks for
  Awaitable<Result<void>> take_step(Round* r);
  Awaitable<Result<void>> initialize(Round* r);
  Awaitable<Result<void>> create_target(Round* r);
  Awaitable<Result<void>> patch_instance(Round* r, Json patch, const char* what);
  Awaitable<Result<void>> hand_over(Round* r);
  Awaitable<Result<void>> take_back(Round* r);
  Awaitable<Result<void>> delete_pod(Round* r, PodInformer::Ptr pod, const char* which);
  Awaitable<Result<void>> release(Round* r);
  vmi::PodOptions pod_options(const Round& r) const;
  void tell(const Round& r, const char* type, const char* reason, std::string message);

  // report.cpp: what is written of it
  Awaitable<Result<void>> write_status(Round* r);
  Awaitable<Result<void>> write_progress(Round* r, Json migration);

  // controller.cpp
  static Awaitable<Result<runtime::Action>> reconcile(std::shared_ptr<Impl> self, std::string key);
  Awaitable<Result<void>> sweep(Round* r);
  /// A target pod whose migration is no more, and which is neither the instance's own nor may become so.
  PodInformer::Ptr orphan(const std::string& pod_key) const;
  Awaitable<Result<runtime::Action>> remove_orphan(PodInformer::Ptr pod);
  /// Those that may begin since a place became free; some of the others, so that they say what is before them now.
  void wake_next();

  Context& ctx;
  Caches& caches;
  std::unordered_map<std::string, Clock::Time> made;     ///< by migration uid: target pods not yet shown by the watch
  std::unordered_set<std::string> begun;                 ///< uids that the queue let in; the cache may still call them Pending
  std::unique_ptr<runtime::Controller> queue;
};

}  // namespace nodevirt::virt_controller::migration
