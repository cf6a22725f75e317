// The list status.conditions.
#pragma once
#include <string>
#include <string_view>

#include "pkg/base/clock.hpp"
#include "pkg/base/json.hpp"

namespace nodevirt::virt_handler {

struct ConditionText {
  std::string type, status, reason, message;
};

/// Sets one condition. lastTransitionTime moves only when the status changes; nothing moves when nothing does.
void set_condition(Json& conditions, const ConditionText& wanted, Clock::WallTime now);
void remove_condition(Json& conditions, std::string_view type);

}  // namespace nodevirt::virt_handler
