// The port that virt-api calls: streams, commands and questions about one instance of this node.
#pragma once
#include <functional>
#include <memory>

#include "pkg/net/http_server.hpp"
#include "virt-handler/instances/launchers.hpp"
#include "virt-handler/streams/route.hpp"
#include "virt-handler/streams/viewers.hpp"

namespace nodevirt::virt_handler {

class StreamServer {
 public:
  struct Deps {
    Launchers& launchers;
    Viewers& viewers;
    std::function<bool()> ready;
    std::function<Awaitable<std::string>()> metrics;
    /// Common name that a client's certificate must carry; empty: none is asked for (tests).
    std::string client_name = "virt-api";
  };
  explicit StreamServer(Deps deps);
  ~StreamServer();
  /// For net::HttpServer. /healthz, /readyz and /metrics want no certificate.
  Awaitable<void> handle(net::ServerRequest& request, net::ResponseStream& response);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace nodevirt::virt_handler
