// Answers of virt-api: JSON objects, and Status objects for errors.
#pragma once
#include "pkg/base/json.hpp"
#include "pkg/net/http_server.hpp"

namespace nodevirt::virt_api {

Awaitable<void> reply_json(net::ResponseStream& response, int status, Json body);
Awaitable<void> reply_text(net::ResponseStream& response, int status, std::string body);
/// The Status object of an error, with its HTTP status.
Awaitable<void> reply_error(net::ResponseStream& response, Error error);
/// An empty answer, as 202 Accepted is given.
Awaitable<void> reply_empty(net::ResponseStream& response, int status);

// The errors that KubeVirt's API gives, with its wording.
Error vm_conflict(std::string_view name, std::string_view why);
Error vmi_conflict(std::string_view name, std::string_view why);
Error vm_not_found(std::string_view name);
Error vmi_not_found(std::string_view name);
Error bad_request(std::string message);
Error internal_error(std::string message);

}  // namespace nodevirt::virt_api
