// Answers about the guest in KubeVirt's shapes.
#pragma once
#include "api/proto/launcher.pb.h"
#include "pkg/base/json.hpp"

namespace nodevirt::virt_handler {

Json guest_os_info(const launcher::v1::GuestInfo& info);
Json user_list(const launcher::v1::GuestInfo& info);
Json filesystem_list(const launcher::v1::GuestInfo& info);

}  // namespace nodevirt::virt_handler
