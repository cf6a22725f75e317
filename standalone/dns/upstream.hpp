// Asking somebody else's resolver.
#pragma once
#include "pkg/base/async.hpp"
#include "standalone/dns/message.hpp"

namespace nodevirt::dns {

struct UpstreamOptions {
  std::vector<std::string> servers;
  int netns_fd = -1;
  std::chrono::milliseconds timeout{2000};
};

/// The answer's bytes from the first server that gives one. The question goes out under an id and port of its own, and the
/// answer comes back under the asker's id. `tcp`: over a connection, for what did not fit in a datagram.
Awaitable<Result<std::string>> ask_upstream(UpstreamOptions options, Query query, std::string message, bool tcp);

}  // namespace nodevirt::dns
