// The webhooks: one row per path, from which both the routing and the registration are made.
#pragma once
#include <string_view>
#include <vector>

#include "pkg/client/client.hpp"
#include "pkg/net/http_server.hpp"
#include "virt-api/admission/review.hpp"

namespace nodevirt::virt_api {

struct Webhook {
  std::string_view path, name;       ///< "/virtualmachines-mutate", "virtualmachines-mutator.kubevirt.io"
  bool mutating;
  std::string_view group, version, resource;
  std::vector<std::string> operations;
  AdmissionAnswer (*decide)(const AdmissionRequest& request);  ///< null for one that needs I/O
  Awaitable<AdmissionAnswer> (*ask)(client::Client client, AdmissionRequest request) = nullptr;  ///< that one
  bool may_be_missed = false;        ///< what it guards must stay possible while virt-api is away; it writes, but not in a dry run
};
const std::vector<Webhook>& webhooks();

/// True when the path was a webhook's, and has been answered.
Awaitable<bool> serve_webhook(client::Client client, net::ServerRequest& request, net::ResponseStream& response);

}  // namespace nodevirt::virt_api
