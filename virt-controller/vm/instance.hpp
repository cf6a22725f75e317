// The VirtualMachineInstance that a VirtualMachine asks for. Pure.
#pragma once
#include "pkg/base/clock.hpp"
#include "pkg/base/json.hpp"

namespace nodevirt::virt_controller::vm {

/// The instance is the machine's raw template, so nothing of it is lost, and what keeps it the same machine
/// over restarts: the firmware's uuid and the interfaces' MAC addresses, derived from the machine's uid
/// where the template gives none. It is born in phase Pending with the finalizer that holds it until its
/// domain is known to be gone. FailedPrecondition when there is no template.
Result<Json> build_instance(const Json& machine, bool start_paused, Clock::WallTime now);

/// "revision-start-vm-UID-GENERATION"
std::string revision_name(const std::string& machine_uid, std::int64_t generation);
/// The ControllerRevision that remembers the spec an instance was made from.
Json build_revision(const Json& machine);

/// The locally administered address "02:..." of an interface.
std::string stable_mac(const std::string& machine_uid, const std::string& interface);
std::string stable_firmware_uuid(const std::string& machine_uid);

}  // namespace nodevirt::virt_controller::vm
