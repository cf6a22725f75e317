// What virt-api serves: who may ask, and which part answers.
#pragma once
#include <memory>
#include <set>
#include <string>

#include "pkg/client/client.hpp"
#include "pkg/net/http_server.hpp"
#include "virt-api/metrics.hpp"
#include "virt-api/subresources/subresources.hpp"

namespace nodevirt::virt_api {

struct ServerState {
  SubresourceDeps subresources;
  std::set<std::string> allowed_cns;        ///< of client certificates: the API server's
  /// Webhooks without a client certificate: Kubernetes' API server presents none to them.
  bool open_webhooks = false;
  std::shared_ptr<bool> ready;
  Metrics metrics;
};

/// Health, readiness and metrics are for everybody; everything else for the API server alone.
net::Handler make_handler(std::shared_ptr<ServerState> state);

}  // namespace nodevirt::virt_api
