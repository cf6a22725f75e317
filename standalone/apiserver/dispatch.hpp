// From a request to its handler: authentication, impersonation, authorization, routing.
#pragma once
#include <memory>
#include <optional>

#include "pkg/net/http_server.hpp"
#include "standalone/apiserver/request_info.hpp"

namespace nodevirt::apiserver {

struct ServerState;

/// `user`: who asks, when that is known already (requests made in this process).
Awaitable<void> dispatch(std::shared_ptr<ServerState> state, net::ServerRequest& request, net::ResponseStream& response,
                         std::optional<UserInfo> user);

}  // namespace nodevirt::apiserver
