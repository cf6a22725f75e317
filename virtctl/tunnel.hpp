// A stream of the subresource API (plain.kubevirt.io: binary messages are the bytes) joined with a local one.
#pragma once
#include <memory>

#include "virtctl/session.hpp"

namespace nodevirt::virtctl {

/// Opens a stream of an object: "vnc", "portforward/22/tcp". Errors are the server's.
Awaitable<Result<std::shared_ptr<net::WebSocket>>> open_stream(Session& session, Kind kind, std::string ns, std::string name,
                                                               std::string subresource);

/// Copies both ways until either end is closed, and closes both; the reason that the server gave, if it gave one.
Awaitable<std::string> join(Executor executor, std::shared_ptr<net::ByteStream> local, std::shared_ptr<net::WebSocket> remote);

}  // namespace nodevirt::virtctl
