// When an action on an instance makes sense, as KubeVirt decides and words it. Without I/O.
#pragma once
#include <optional>
#include <string_view>

#include "pkg/base/json.hpp"

namespace nodevirt::virt_api {

/// pause, unpause, freeze, unfreeze, softreboot, reset, guestosinfo, userlist, filesystemlist, console, vnc,
/// vnc/screenshot, portforward. Nothing when the action may go on to virt-handler.
std::optional<Error> refuse_action(const Json& vmi, std::string_view verb);

}  // namespace nodevirt::virt_api
