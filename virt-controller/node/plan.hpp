// What to do about one node. Pure.
#pragma once
#include <optional>

#include "virt-controller/node/heartbeat.hpp"
#include "virt-controller/objects.hpp"

namespace nodevirt::virt_controller::node {

struct Observation {
  std::string heartbeat;          ///< the annotation
  bool schedulable = false;       ///< the label says true
  Clock::Duration unchanged{};    ///< for so long we have seen this very heartbeat
  Clock::WallTime now;
};

struct Plan {
  bool mark_unschedulable = false;
  bool stale = false;
  std::optional<Clock::Duration> again;
};

/// After our own start a node gets a minute to beat, however old its last heartbeat is: the whole machine
/// may have been down.
inline constexpr Clock::Duration kFirstPatience = std::chrono::seconds(60);
inline constexpr Clock::Duration kRecheck = std::chrono::seconds(60);

Plan plan(const Observation& seen);

}  // namespace nodevirt::virt_controller::node
