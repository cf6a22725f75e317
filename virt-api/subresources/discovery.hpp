// Discovery of subresources.kubevirt.io, and what stands at its root: version, healthz.
#pragma once
#include "pkg/net/http_server.hpp"

namespace nodevirt::virt_api {

/// `parts` are the path's segments: apis [subresources.kubevirt.io [VERSION [version|healthz|guestfs]]].
Awaitable<void> serve_discovery(std::vector<std::string> parts, net::ServerRequest& request,
                                net::ResponseStream& response);

}  // namespace nodevirt::virt_api
