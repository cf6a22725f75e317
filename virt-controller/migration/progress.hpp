// What a migration's annotations tell people: the progress, copied from the instance, and one line of it. Pure.
#pragma once
#include <string>

#include "virt-controller/migration/plan.hpp"

namespace nodevirt::virt_controller::migration {

struct ProgressInput {
  const Json& migration;
  const Json* instance = nullptr;
  const Observation& seen;
  std::string phase;               ///< of the migration, as it is now
  std::string waits;               ///< why_it_waits; empty: it does not
};

/// A merge patch of the migration's annotations; null when they say it already. An instance's progress of another
/// migration is not copied.
Json progress_patch(const ProgressInput& in);

/// The line: what it waits for, how far it is, how it ended.
std::string summary(const ProgressInput& in);

}  // namespace nodevirt::virt_controller::migration
