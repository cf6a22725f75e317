// What will become of a pre-copy: its passes played forward with the guest's model and the link's rate. Pure.
#pragma once
#include <cstdint>
#include <optional>

#include "virt-handler/migration/policy/dirty_model.hpp"

namespace nodevirt::virt_handler::migration {

struct ForecastInput {
  double remaining = 0;          ///< bytes, now
  double pass_seconds = 0;       ///< since the present pass began
  bool fresh = false;            ///< remaining was counted just now: no pass is needed before the last step
  double rate = 0;               ///< bytes per second while the guest runs
  double last_rate = 0;          ///< bytes per second of the last step
  double max_downtime = 0;       ///< seconds
  double throttle = 0;           ///< 0 to 0.99
};

struct Forecast {
  std::optional<double> end;     ///< seconds from now until the guest runs on the target; nothing: never
  double downtime = 0;           ///< seconds of the last step; when it never ends: as it would be in the end
  double floor = 0;              ///< bytes that remain at best
};

Forecast forecast(const DirtyModel& model, const ForecastInput& in);

/// The smallest slow-down in percent, at most `ceiling`, with which the passes shrink well; nothing when even the
/// ceiling does not do.
std::optional<std::uint32_t> needed_throttle(const DirtyModel& model, ForecastInput in, std::uint32_t ceiling);

}  // namespace nodevirt::virt_handler::migration
