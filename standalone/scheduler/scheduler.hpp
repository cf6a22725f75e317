// Binds pods to nodes: the loop around schedule().
#pragma once
#include <memory>

#include "pkg/base/clock.hpp"
#include "pkg/client/client.hpp"

namespace nodevirt::scheduler {

/// Guarantees: a pod is bound at most once (the server's binding refuses a second time); pods of higher
/// priority go first, then older ones; a pod that does not fit says why in its condition PodScheduled and an
/// event, and is tried again when nodes, pods or volumes change. Nothing is preempted.
class Scheduler {
 public:
  Scheduler(Executor executor, client::Client client, Clock& clock);
  ~Scheduler();
  /// Until stopped.
  Awaitable<void> run(StopToken stop);

 private:
  struct Impl;
  std::shared_ptr<Impl> impl_;
};

}  // namespace nodevirt::scheduler
