// What a cluster does by itself, in the API server's process and on its history: garbage collection,
// namespaces' ends, default service accounts, budgets' and quotas' status, events' age.
#pragma once
#include "pkg/base/async.hpp"

namespace nodevirt::apiserver {
class Server;
}

namespace nodevirt::controllers {

/// All of them, until stopped. An apiserver::ServerExtension.
Awaitable<void> run(apiserver::Server& server, StopToken stop);

}  // namespace nodevirt::controllers
