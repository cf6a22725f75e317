// subresources.kubevirt.io: requests as the API server passes them on.
#pragma once
#include <memory>

#include "pkg/client/client.hpp"
#include "pkg/net/http_server.hpp"
#include "virt-api/subresources/handlers.hpp"

namespace nodevirt::virt_api {

struct SubresourceDeps {
  client::Client client;
  std::shared_ptr<Handlers> handlers;
};

/// One request to NAME/SUBRESOURCE. `rest` is what follows the subresource's first word ("8080/tcp" of
/// portforward/8080/tcp).
struct SubresourceRequest {
  std::string version, ns, name, verb, rest;
  net::ServerRequest& http;
  net::ResponseStream& response;
};

using SubresourceHandler = Awaitable<void> (*)(SubresourceDeps& deps, SubresourceRequest request);

/// One row per path: the table makes routing and discovery.
struct SubresourceRoute {
  std::string_view plural;   ///< virtualmachines | virtualmachineinstances
  std::string_view path;     ///< "start", "vnc/screenshot", "portforward/*"
  std::string_view method;
  SubresourceHandler handler;
};
const std::vector<SubresourceRoute>& subresource_routes();

/// Any path under /apis/subresources.kubevirt.io.
Awaitable<void> serve_subresources(SubresourceDeps& deps, net::ServerRequest& request, net::ResponseStream& response);

// Handlers, by file.
Awaitable<void> start_vm(SubresourceDeps& deps, SubresourceRequest request);
Awaitable<void> stop_vm(SubresourceDeps& deps, SubresourceRequest request);
Awaitable<void> restart_vm(SubresourceDeps& deps, SubresourceRequest request);
Awaitable<void> migrate_vm(SubresourceDeps& deps, SubresourceRequest request);
Awaitable<void> cancel_evacuation(SubresourceDeps& deps, SubresourceRequest request);
Awaitable<void> expand_vm(SubresourceDeps& deps, SubresourceRequest request);
Awaitable<void> change_instance(SubresourceDeps& deps, SubresourceRequest request);
Awaitable<void> ask_instance(SubresourceDeps& deps, SubresourceRequest request);
Awaitable<void> stream_console(SubresourceDeps& deps, SubresourceRequest request);
Awaitable<void> stream_vnc(SubresourceDeps& deps, SubresourceRequest request);
Awaitable<void> stream_port(SubresourceDeps& deps, SubresourceRequest request);

// What they share.
Awaitable<Result<Json>> fetch_vm(client::Client& client, std::string ns, std::string name);
Awaitable<Result<Json>> fetch_vmi(client::Client& client, std::string ns, std::string name);
/// The body as an object; an empty body is an empty object. BadRequest otherwise.
Result<Json> decode_body(const std::string& body);
/// dryRun: ["All"] in the body.
bool wants_dry_run(const Json& body);
bool vmi_runs(const Json& vmi);
bool vmi_has_condition(const Json& vmi, std::string_view type);

}  // namespace nodevirt::virt_api
