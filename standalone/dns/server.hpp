// The resolver of a node: answers for the cluster's names, forwards the others.
#pragma once
#include <memory>

#include "pkg/base/async.hpp"
#include "standalone/dns/zone.hpp"

namespace nodevirt::dns {

struct ServerOptions {
  std::string address = "127.0.0.1";
  std::uint16_t port = 53;                      ///< 0: any (tests)
  std::vector<std::string> upstreams;           ///< "10.0.0.1" or "10.0.0.1#5353"
  int upstream_netns_fd = -1;                   ///< where the upstreams are reached; -1: here
  std::chrono::milliseconds upstream_timeout{2000};
  std::size_t max_forwarded = 256;              ///< at once; more are answered SERVFAIL
  std::size_t max_connections = 64;             ///< TCP
  ZoneOptions zone;
};

class Server {
 public:
  /// `records` outlives the server.
  Server(Executor executor, ServerOptions options, const Records& records);
  ~Server();
  /// Binds UDP and TCP; returns the port.
  Result<std::uint16_t> listen();
  /// Until stopped.
  Awaitable<void> run(StopToken stop);

 private:
  struct Impl;
  std::shared_ptr<Impl> impl_;
};

/// The nameservers of a resolv.conf's text; IPv4 only, at most three. Pure.
std::vector<std::string> upstreams_of(std::string_view resolv_conf);

}  // namespace nodevirt::dns
