#include "virt-controller/vm/events.hpp"

namespace nodevirt::virt_controller::vm {

namespace {
std::string name(const Json& machine) { return string_at(machine, {"metadata", "name"}); }
}  // namespace

void instance_created(Context& c, const Json& machine) {
  c.events.event(reference_to(machine), "Normal", "SuccessfulCreate",
                 "Started the virtual machine by creating the new virtual machine instance " + name(machine));
}

void instance_create_failed(Context& c, const Json& machine, const Error& why) {
  c.events.event(reference_to(machine), "Warning", "FailedCreate", "Error creating virtual machine instance: " + why.message);
}

void instance_deleted(Context& c, const Json& machine, const std::string& uid) {
  c.events.event(reference_to(machine), "Normal", "SuccessfulDelete",
                 "Stopped the virtual machine by deleting the virtual machine instance " + uid);
}

void instance_delete_failed(Context& c, const Json& machine, const Error& why) {
  c.events.event(reference_to(machine), "Warning", "FailedDelete",
                 "Error deleting virtual machine instance " + name(machine) + ": " + why.message);
}

void instance_adopted(Context& c, const Json& machine) {
  c.events.event(reference_to(machine), "Normal", "SuccessfulUpdate", "Took over the running virtual machine instance " + name(machine));
}

}  // namespace nodevirt::virt_controller::vm
