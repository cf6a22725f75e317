// What every cluster has from its first moment, and keeps.
#pragma once
#include <memory>

#include "pkg/client/transport.hpp"
#include "standalone/apiserver/options.hpp"

namespace nodevirt::apiserver {

/// Makes the service `kubernetes` again when somebody has deleted it (`kubectl delete services --all`).
Awaitable<void> keep_own_service(std::shared_ptr<client::Transport> transport, std::string service_cidr, StopToken stop);

}  // namespace nodevirt::apiserver
