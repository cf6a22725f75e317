// Work inside another process's network namespace.
#pragma once
#include <functional>
#include <sys/types.h>

#include "pkg/base/file.hpp"
#include "pkg/base/result.hpp"

namespace nodevirt::virt_handler {

/// The network namespace of a process. Unavailable when the process is gone; FailedPrecondition when it is
/// the caller's own: nothing that is meant for a pod may ever be done to the node.
Result<Fd> open_pod_netns(pid_t pid);

/// Runs `work` on a thread of its own inside the namespace and waits for it. Blocks.
/// Sysctls under /proc/sys/net, interface names and new sockets are the namespace's there.
Result<void> in_netns(int netns_fd, const std::function<Result<void>()>& work);

}  // namespace nodevirt::virt_handler
