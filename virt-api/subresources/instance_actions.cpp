// Requests about an instance that go to its virt-handler and come back whole.
#include "virt-api/reply.hpp"
#include "pkg/k8s/status.hpp"
#include "virt-api/subresources/instance_rules.hpp"
#include "virt-api/subresources/subresources.hpp"

namespace nodevirt::virt_api {

namespace {

Awaitable<Result<net::Response>> pass_on(SubresourceDeps& deps, const Json& vmi, std::string method, std::string verb,
                                         std::string body, std::string query) {
  NV_CO_TRY(auto handler, co_await deps.handlers->of_instance(vmi));
  net::Request request;
  request.method = std::move(method);
  request.target = handler_target(vmi, verb, query);
  request.body = std::move(body);
  if (!request.body.empty()) request.headers.set("Content-Type", "application/json");
  auto answer = co_await handler->send(std::move(request));
  if (!answer.ok()) co_return internal_error("ask virt-handler: " + answer.error().message);
  if (answer->status >= 300) co_return k8s::error_of_response(answer->status, answer->body);
  co_return answer;
}

}  // namespace

Awaitable<void> change_instance(SubresourceDeps& deps, SubresourceRequest request) {
  auto body = decode_body(request.http.body);
  auto vmi = co_await fetch_vmi(deps.client, request.ns, request.name);
  std::optional<Error> refused;
  if (!body.ok()) refused = body.error();
  else if (!vmi.ok()) refused = vmi.error();
  else refused = refuse_action(*vmi, request.verb);
  if (!refused && !wants_dry_run(*body)) {
    auto answer = co_await pass_on(deps, *vmi, "PUT", request.verb, request.http.body, "");
    if (!answer.ok()) refused = answer.error();
  }
  if (refused) co_await reply_error(request.response, *refused);
  else co_await reply_empty(request.response, 200);
}

Awaitable<void> ask_instance(SubresourceDeps& deps, SubresourceRequest request) {
  auto vmi = co_await fetch_vmi(deps.client, request.ns, request.name);
  std::optional<Error> refused;
  if (!vmi.ok()) refused = vmi.error();
  else refused = refuse_action(*vmi, request.verb);
  if (refused) {
    co_await reply_error(request.response, *refused);
    co_return;
  }
  std::string query;
  if (request.verb == "vnc/screenshot" && request.http.query().get("moveCursor") == "true") query = "moveCursor=true";
  auto answer = co_await pass_on(deps, *vmi, "GET", request.verb, "", query);
  if (!answer.ok()) {
    co_await reply_error(request.response, answer.error());
    co_return;
  }
  net::Response out;
  out.headers.set("Content-Type", std::string(answer->headers.get("Content-Type")));
  out.body = std::move(answer->body);
  auto sent = co_await request.response.send(std::move(out));
  (void)sent;
}

}  // namespace nodevirt::virt_api
