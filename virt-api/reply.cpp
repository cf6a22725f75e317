#include "virt-api/reply.hpp"

#include "pkg/k8s/status.hpp"

namespace nodevirt::virt_api {

namespace {

constexpr std::string_view kVm = "virtualmachine.kubevirt.io";
constexpr std::string_view kVmi = "virtualmachineinstance.kubevirt.io";

Awaitable<void> reply(net::ResponseStream& response, int status, std::string type, std::string body) {
  net::Response out;
  out.status = status;
  if (!type.empty()) out.headers.set("Content-Type", std::move(type));
  out.body = std::move(body);
  auto sent = co_await response.send(std::move(out));
  (void)sent;  // the connection notices a peer that has gone
}

}  // namespace

Awaitable<void> reply_json(net::ResponseStream& response, int status, Json body) {
  auto text = dump_json(body);
  co_await reply(response, status, "application/json", std::move(text));
}

Awaitable<void> reply_text(net::ResponseStream& response, int status, std::string body) {
  co_await reply(response, status, "text/plain; charset=utf-8", std::move(body));
}

Awaitable<void> reply_error(net::ResponseStream& response, Error error) {
  auto status = k8s::status_object(error);
  co_await reply_json(response, k8s::http_status(error), std::move(status));
}

Awaitable<void> reply_empty(net::ResponseStream& response, int status) {
  co_await reply(response, status, std::string(), std::string());
}

Error vm_conflict(std::string_view name, std::string_view why) { return k8s::conflict(kVm, name, why); }
Error vmi_conflict(std::string_view name, std::string_view why) { return k8s::conflict(kVmi, name, why); }
Error vm_not_found(std::string_view name) { return k8s::not_found(kVm, name); }
Error vmi_not_found(std::string_view name) { return k8s::not_found(kVmi, name); }
Error bad_request(std::string message) { return Error(Code::InvalidArgument, "BadRequest", std::move(message)); }
Error internal_error(std::string message) {
  return Error(Code::Internal, "InternalError", "Internal error occurred: " + message);
}

}  // namespace nodevirt::virt_api
