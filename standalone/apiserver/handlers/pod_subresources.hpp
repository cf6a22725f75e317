// What pods have beside themselves: binding, eviction, log; exec, attach and port-forward are refused.
#pragma once
#include "standalone/apiserver/handlers/call.hpp"

namespace nodevirt::apiserver {

Awaitable<void> handle_pod_subresource(Call& call);

}  // namespace nodevirt::apiserver
