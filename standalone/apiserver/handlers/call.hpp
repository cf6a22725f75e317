// One request on its way through the server, and how it is answered.
#pragma once
#include <string>
#include <vector>

#include "pkg/base/async.hpp"
#include "pkg/base/json.hpp"
#include "pkg/net/http_server.hpp"
#include "standalone/apiserver/errors.hpp"
#include "standalone/apiserver/handlers/negotiation.hpp"
#include "standalone/apiserver/request_info.hpp"
#include "standalone/apiserver/server_state.hpp"

namespace nodevirt::apiserver {

struct WriteContext;

struct Call {
  ServerState& s;
  net::ServerRequest& request;
  net::ResponseStream& response;
  net::Query query;
  RequestInfo info;
  UserInfo user;
  ResourcePtr resource;
  AnswerForm form;
  std::vector<std::string> warnings;
  std::vector<std::pair<std::string, std::string>> headers;   ///< added to the answer

  std::string accept() const { return std::string(request.headers.get("Accept")); }
};

Awaitable<void> send_json(Call& call, int status, std::string body, std::string content_type = "application/json");
/// In the form that was asked for (YAML for who wants it).
Awaitable<void> send_value(Call& call, int status, Json value);
Awaitable<void> send_text(Call& call, int status, std::string body);
Awaitable<void> send_error(Call& call, Error error);
/// One object of the call's resource: whole, as a Table or as its metadata alone.
Awaitable<void> send_object(Call& call, int status, Json object);
/// {"kind":"Status","status":"Success"} with details about an object.
Json success_status(const ResourceInfo& info, const std::string& name, const std::string& uid);

/// A flag of the query: absent, empty is true, "true"/"1".
bool query_flag(const net::Query& query, std::string_view name);
/// "k8s.io/..." never appears: the User-Agent up to the first '/', as fieldManager's default.
std::string default_manager(const net::Request& request);
/// dryRun, fieldManager, fieldValidation of the query; BadRequest for values that do not exist.
Result<WriteContext> write_context(Call& call);

// The handlers. Each answers, whatever happens.
Awaitable<void> handle_get(Call& call);
Awaitable<void> handle_list(Call& call);
Awaitable<void> handle_watch(Call& call);
Awaitable<void> handle_create(Call& call);
Awaitable<void> handle_update(Call& call);
Awaitable<void> handle_patch(Call& call);
Awaitable<void> handle_delete(Call& call);
Awaitable<void> handle_delete_collection(Call& call);
Awaitable<void> handle_subresource(Call& call);
Awaitable<void> handle_review(Call& call);
Awaitable<void> handle_discovery(Call& call);
Awaitable<void> handle_openapi(Call& call);
Awaitable<void> handle_metrics(Call& call);

}  // namespace nodevirt::apiserver
