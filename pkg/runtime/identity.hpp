// Who a process is, so that its successor on the same machine can tell that it is gone.
#pragma once
#include <string>

namespace nodevirt::runtime {

/// HOST_BOOT.PIDNS.PID.STARTED: unique over restarts and reboots.
std::string process_identity();

/// True only when `identity` names a process of this machine, this boot and this pid namespace that does
/// not run any more; false when it runs, or cannot be judged from here.
bool process_is_gone(const std::string& identity);

}  // namespace nodevirt::runtime
