// Which instances leave a node, in which order, and why others stay. Pure.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "pkg/base/clock.hpp"

namespace nodevirt::virt_controller::evacuation {

/// An instance on the node.
struct Candidate {
  std::string key, uid;              ///< NAMESPACE/NAME
  std::string strategy;              ///< evictionStrategy; the cluster's where it names none
  std::string phase;
  bool deleting = false;
  bool marked = false;               ///< status.evacuationNodeName is this node: its pod was to be evicted
  bool migratable = false;           ///< LiveMigratable is True
  std::string obstacle;              ///< why not
  bool migrating = false;            ///< it has an unfinished migration
  bool evacuating = false;           ///< that one was made by us
  int living_pods = 1;
  std::int64_t priority = 0;         ///< of its pod
  int failures = 0;                  ///< evacuations in a row that failed, the last ones
  std::optional<Clock::WallTime> failed_at;

  bool final() const { return phase == "Succeeded" || phase == "Failed"; }
};

struct Stay {
  std::string key, why;
  friend bool operator==(const Stay&, const Stay&) = default;
};

struct Plan {
  std::vector<std::string> migrate;  ///< keys, the most important first
  std::vector<Stay> stays;           ///< they were to leave, and will not by themselves
  std::size_t moving = 0;            ///< on their way, or waiting for their turn
  std::optional<Clock::Duration> again;
};

/// 20 s, doubled with every failure in a row, at most 10 minutes.
Clock::Duration backoff(int failures);

/// `drained`: the node carries the drain taint, so that everybody leaves, marked or not. No more than `parallel`
/// evacuations of a node are asked for at once, so that the order is kept.
Plan plan(std::vector<Candidate> candidates, bool drained, std::int64_t parallel, Clock::WallTime now);

}  // namespace nodevirt::virt_controller::evacuation
