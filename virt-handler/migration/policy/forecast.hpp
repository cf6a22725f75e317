// What will become of a pre-copy: its passes played forward with the guest's model and the link's rate. Pure.
//
// QEMU looks for dirty pages when less remains than it may send in the last step; what was dirtied meanwhile and does
// not wait anyway comes on top, and another, shorter pass begins. That ends when the guest writes clean pages more
// slowly than the link carries them; a working set that mostly waits has few clean pages.
#pragma once
#include <cstdint>
#include <optional>

#include "virt-handler/migration/policy/dirty_model.hpp"

namespace nodevirt::virt_handler::migration {

struct ForecastInput {
  double remaining = 0;          ///< bytes, now
  double pass_seconds = 0;       ///< since the present pass began
  double rate = 0;               ///< bytes per second while the guest runs
  double last_rate = 0;          ///< bytes per second of the last step
  double downtime = 0;           ///< seconds that the last step may take
  double throttle = 0;           ///< 0 to 0.99
};

struct Forecast {
  std::optional<double> end;     ///< seconds from now until the guest runs on the target; nothing: never
  double downtime = 0;           ///< seconds of the last step; when it never ends: as it would be in the end
};

Forecast forecast(const DirtyModel& model, const ForecastInput& in);

/// The smallest slow-down in percent, at most `ceiling`, with which the passes shrink well; nothing when even the
/// ceiling does not do.
std::optional<std::uint32_t> needed_throttle(const DirtyModel& model, ForecastInput in, std::uint32_t ceiling);

}  // namespace nodevirt::virt_handler::migration
