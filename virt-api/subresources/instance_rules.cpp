#include "virt-api/subresources/instance_rules.hpp"

#include "virt-api/reply.hpp"
#include "virt-api/subresources/subresources.hpp"

namespace nodevirt::virt_api {

std::optional<Error> refuse_action(const Json& vmi, std::string_view verb) {
  auto name = string_at(vmi, {"metadata", "name"});
  bool runs = vmi_runs(vmi), paused = vmi_has_condition(vmi, "Paused");
  if (verb == "console") {
    if (!bool_at(vmi, {"spec", "domain", "devices", "autoattachSerialConsole"}, true))
      return bad_request("No serial consoles are present.");
    if (string_at(vmi, {"status", "phase"}) == "Failed") return vmi_conflict(name, "VMI is in failed status");
    if (!runs) return bad_request("VMI is not running");
    return std::nullopt;
  }
  if (verb == "vnc" || verb == "vnc/screenshot") {
    if (!bool_at(vmi, {"spec", "domain", "devices", "autoattachGraphicsDevice"}, true))
      return bad_request("No graphics devices are present.");
    if (!runs) return bad_request("VMI is not running");
    return std::nullopt;
  }
  if (verb == "portforward") {
    if (!runs) return vmi_conflict(name, "VMI is not running");
    if (paused) return vmi_conflict(name, "VMI is paused");
    return std::nullopt;
  }
  if (!runs) return vmi_conflict(name, verb == "pause" || verb == "softreboot" || verb == "freeze" ? "VM is not running" : "VMI is not running");
  if (verb == "pause") {
    if (const Json* probe = find(vmi, {"spec", "livenessProbe"}); probe && probe->is_object() && !probe->contains("guestAgentPing"))
      return Error(Code::PermissionDenied, "Forbidden",
                   "virtualmachineinstance.kubevirt.io \"" + name +
                       "\" is forbidden: Pausing VMIs with a non-GuestAgentPing LivenessProbe is not supported");
    if (paused) return vmi_conflict(name, "VMI is already paused");
  } else if (verb == "unpause") {
    if (!paused) return vmi_conflict(name, "VMI is not paused");
  } else if (verb == "softreboot") {
    if (paused) return vmi_conflict(name, "VMI is paused");
    if (!vmi_has_condition(vmi, "AgentConnected") && !bool_at(vmi, {"spec", "domain", "features", "acpi", "enabled"}, true))
      return vmi_conflict(name, "VMI neither have the agent connected nor the ACPI feature enabled");
  } else if (verb == "freeze" || verb == "unfreeze") {
    return vmi_conflict(name, "freezing a guest's filesystems is not supported by this version of Nodevirt");
  } else if (verb == "guestosinfo" || verb == "userlist" || verb == "filesystemlist") {
    if (!vmi_has_condition(vmi, "AgentConnected")) return vmi_conflict(name, "VMI does not have guest agent connected");
  }
  return std::nullopt;
}

}  // namespace nodevirt::virt_api
