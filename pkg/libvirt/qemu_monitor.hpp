// The one door to QMP, for what libvirt has no call for.
#pragma once
#include "pkg/base/json.hpp"
#include "pkg/libvirt/domain.hpp"

namespace nodevirt::libvirt {

/// Sends {"execute": command, "arguments": arguments} and answers QMP's `return`. QMP's `error` is an Error
/// with its text. libvirt marks the domain as tainted; nothing here may change what libvirt believes.
Result<Json> qemu_monitor_command(const Domain& domain, std::string_view command, const Json& arguments = Json::object());

}  // namespace nodevirt::libvirt
