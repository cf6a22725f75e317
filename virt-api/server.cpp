#include "virt-api/server.hpp"

#include "virt-api/admission/webhooks.hpp"
#include "virt-api/conversion/conversion.hpp"
#include "virt-api/reply.hpp"

namespace nodevirt::virt_api {

namespace {

bool from_api_server(const ServerState& state, const net::ServerRequest& request) {
  return request.peer.certificate && state.allowed_cns.contains(request.peer.certificate->common_name);
}

Awaitable<void> refuse_peer(ServerState& state, net::ServerRequest& request, net::ResponseStream& response) {
  ++state.metrics.requests[{"unauthorized", 1}];
  Error error = request.peer.certificate
                    ? Error(Code::PermissionDenied, "Forbidden",
                            fmt::format("the client certificate of \"{}\" is not the API server's", request.peer.certificate->common_name))
                    : Error(Code::Unauthenticated, "Unauthorized", "the API server's client certificate is needed here");
  co_await reply_error(response, error);
}

Awaitable<void> convert(ServerState& state, net::ServerRequest& request, net::ResponseStream& response) {
  auto converted = convert_review(request.body);
  ++state.metrics.requests[{"conversion", converted.ok() ? 0 : 1}];
  if (converted.ok()) co_await reply_json(response, 200, std::move(*converted));
  else co_await reply_error(response, converted.error());
}

/// Counts an open stream for as long as it lives.
struct OpenStream {
  std::int64_t* gauge;
  explicit OpenStream(std::int64_t* g) : gauge(g) { if (gauge) ++*gauge; }
  ~OpenStream() { if (gauge) --*gauge; }
  OpenStream(const OpenStream&) = delete;
  OpenStream& operator=(const OpenStream&) = delete;
};

std::int64_t* gauge_of(Metrics& metrics, std::string_view path) {
  if (path.ends_with("/console")) return &metrics.console;
  if (path.ends_with("/vnc")) return &metrics.vnc;
  if (path.find("/portforward/") != std::string_view::npos) return &metrics.port_forward;
  return nullptr;
}

Awaitable<void> serve(std::shared_ptr<ServerState> state, net::ServerRequest& request, net::ResponseStream& response) {
  auto path = std::string(request.raw_path());
  bool ready = *state->ready;
  if (path == "/healthz" || path == "/livez") {
    co_await reply_text(response, 200, "ok");
  } else if (path == "/readyz") {
    co_await reply_text(response, ready ? 200 : 503, ready ? "ok" : "not registered with the API server yet");
  } else if (path == "/metrics") {
    auto text = state->metrics.text(ready);
    co_await reply_text(response, 200, std::move(text));
  } else if (path == "/apis" || path.starts_with("/apis/")) {
    if (!from_api_server(*state, request)) {
      co_await refuse_peer(*state, request, response);
      co_return;
    }
    ++state->metrics.requests[{"subresource", 0}];
    OpenStream open(gauge_of(state->metrics, path));
    co_await serve_subresources(state->subresources, request, response);
  } else if (!state->open_webhooks && !from_api_server(*state, request)) {
    co_await refuse_peer(*state, request, response);
  } else if (request.method != "POST") {
    Error error(Code::NotFound, "NotFound", "the server could not find the requested resource");
    co_await reply_error(response, error);
  } else if (path == "/convert") {
    co_await convert(*state, request, response);
  } else {
    bool served = co_await serve_webhook(state->subresources.client, request, response);
    ++state->metrics.requests[{"admission", served ? 0 : 1}];
    if (!served) {
      Error error(Code::NotFound, "NotFound", "the server could not find the requested resource");
      co_await reply_error(response, error);
    }
  }
}

}  // namespace

net::Handler make_handler(std::shared_ptr<ServerState> state) {
  return [state](net::ServerRequest& request, net::ResponseStream& response) { return serve(state, request, response); };
}

}  // namespace nodevirt::virt_api
