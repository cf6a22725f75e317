// Writing status: conditions, phases, and patches that change only what differs and hold only where what
// was seen still holds.
#pragma once
#include <string>
#include <string_view>

#include "pkg/base/clock.hpp"
#include "pkg/base/json.hpp"

namespace nodevirt::virt_controller {

struct ConditionText {
  std::string type, status, reason, message;
};

/// Sets one condition in the list. lastTransitionTime moves only when the status does.
void set_condition(Json& conditions, const ConditionText& wanted, Clock::WallTime now);
void remove_condition(Json& conditions, std::string_view type);
/// null when there is none.
const Json* find_condition(const Json& object, std::string_view type);
bool condition_is(const Json& object, std::string_view type, std::string_view status, std::string_view reason = "");

/// Sets status.phase, and notes when it was entered first.
void enter_phase(Json& status, const std::string& phase, Clock::WallTime now);

/// A JSON patch from the object's status to `status`: the uid, and each member that changes, is tested
/// before. An empty array when nothing changes.
Json status_patch(const Json& object, const Json& status);

/// Operations that set one label or annotation, the map made where it is missing.
void add_metadata_entry(Json& patch, const Json& object, const char* map, std::string_view key, const std::string& value);
/// Operations that add or remove a finalizer; nothing when it is as wanted.
void add_finalizer(Json& patch, const Json& object, std::string_view finalizer);
void remove_finalizer(Json& patch, const Json& object, std::string_view finalizer);
bool has_finalizer(const Json& object, std::string_view finalizer);
/// {"op":"test","path":"/metadata/uid"}
Json uid_test(const Json& object);

/// The uid of the owner with controller=true; empty when there is none.
std::string controller_of(const Json& object);

}  // namespace nodevirt::virt_controller
