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

void volumes_move(Context& c, const Json& machine, const Json& moving) {
  std::string text;
  for (const Json& m : moving)
    text += (text.empty() ? "" : ", ") + string_at(m, {"volumeName"}) + " from claim " + string_at(m, {"sourcePVCInfo", "claimName"}) + " to " +
            string_at(m, {"destinationPVCInfo", "claimName"});
  c.events.event(reference_to(machine), "Normal", "VolumesUpdate", "The next migration moves the volumes " + text);
}

void volumes_stay(Context& c, const Json& machine) {
  c.events.event(reference_to(machine), "Normal", "VolumesUpdateCancelled", "The volumes stay with the claims that they have");
}

void instance_adopted(Context& c, const Json& machine) {
  c.events.event(reference_to(machine), "Normal", "SuccessfulUpdate", "Took over the running virtual machine instance " + name(machine));
}

}  // namespace nodevirt::virt_controller::vm
