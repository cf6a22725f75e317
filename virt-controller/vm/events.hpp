// Events about VirtualMachines.
#pragma once
#include "virt-controller/context.hpp"

namespace nodevirt::virt_controller::vm {

void instance_created(Context& c, const Json& machine);
void instance_create_failed(Context& c, const Json& machine, const Error& why);
void instance_deleted(Context& c, const Json& machine, const std::string& instance_uid);
void instance_delete_failed(Context& c, const Json& machine, const Error& why);
void volumes_move(Context& c, const Json& machine, const Json& moving);
void volumes_stay(Context& c, const Json& machine);
void instance_adopted(Context& c, const Json& machine);

}  // namespace nodevirt::virt_controller::vm
