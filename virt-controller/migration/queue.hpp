// Which migrations may begin now. Pure.
#pragma once
#include <string>
#include <vector>

#include "pkg/base/result.hpp"

namespace nodevirt::virt_controller::migration {

/// An unfinished migration, as the queue sees it.
struct QueueEntry {
  std::string uid;
  std::string instance;      ///< NAMESPACE/NAME
  std::string source_node;   ///< where the instance runs; empty: not known
  std::string created;       ///< creationTimestamp: older ones go first
  int priority = 0;
  bool active = false;       ///< it has begun: it takes a place
  bool eligible = true;      ///< its instance could be migrated at this moment
};

/// system-critical 100, user-triggered 50, system-maintenance 20, anything else 0.
int priority_value(const std::string& name);

struct QueueLimits {
  std::int64_t per_cluster = 5, outbound_per_node = 2;
};

/// The uids of those that may begin beside those that have, by priority, then age. One that its node's limit holds
/// back holds nobody else back. Never two of one instance.
std::vector<std::string> may_begin(std::vector<QueueEntry> entries, const QueueLimits& limits);

/// Why this one has to wait, for people; empty when it has not.
std::string why_it_waits(const std::vector<QueueEntry>& entries, const QueueLimits& limits, const std::string& uid);

/// An older unfinished migration of the same instance, or one that is active: its uid; empty when there is none.
std::string rival_of(const std::vector<QueueEntry>& entries, const std::string& uid);

}  // namespace nodevirt::virt_controller::migration
