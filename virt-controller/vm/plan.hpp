// What to do next for one VirtualMachine. Pure; nothing is remembered but what stands in the objects and
// what was written and has not come back by the watch yet.
#pragma once
#include <optional>

#include "virt-controller/vm/machine.hpp"

namespace nodevirt::virt_controller::vm {

/// For so long an own write may be missing from the cache.
inline constexpr auto kEcho = std::chrono::seconds(10);

enum class Step {
  None,
  Adopt,            ///< an instance of this name that nobody owns
  Create,
  Delete,           ///< the instance, by its uid
  SwitchOn,         ///< Halted with a start request: spec becomes Always
  RemoveFinalizer,
};

struct Plan {
  Step step = Step::None;
  bool add_finalizer = false;          ///< before the step
  bool request_start = false;          ///< a Start request is recorded before the step: it must survive a crash
  bool record_first = false;           ///< status is written before the step, which takes its evidence away
  std::optional<Clock::Duration> again;
  std::optional<Error> failure;        ///< nothing can be done until somebody changes something
};

struct PlanInput {
  const Machine& machine;
  const Instance* instance = nullptr;  ///< of the machine's name, whoever owns it
  bool create_pending = false;         ///< we created it, and the watch has not shown it yet
  bool delete_pending = false;         ///< we deleted it, and the watch has not shown that yet
  Clock::WallTime now;
};

Plan plan(const PlanInput& in);

/// The instance is the machine's own.
bool owns(const Machine& m, const Instance* i);

}  // namespace nodevirt::virt_controller::vm
