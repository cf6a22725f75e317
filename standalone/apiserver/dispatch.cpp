#include "standalone/apiserver/dispatch.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "pkg/base/log.hpp"
#include "standalone/apiserver/aggregation/aggregator.hpp"
#include "standalone/apiserver/auth/authenticator.hpp"
#include "standalone/apiserver/auth/authorizer.hpp"
#include "standalone/apiserver/handlers/call.hpp"
#include "standalone/apiserver/handlers/selection.hpp"

namespace nodevirt::apiserver {

namespace {

AccessRequest access_of(const Call& call) {
  AccessRequest a;
  a.user = call.user;
  a.resource = call.info.resource_request;
  a.verb = call.info.verb;
  a.group = call.info.group;
  a.resource_name = call.info.full_resource();
  a.ns = call.info.ns;
  a.name = call.info.name;
  a.path = call.info.path;
  return a;
}

Result<void> may_impersonate(Call& call, const UserInfo& wanted) {
  auto ask = [&](std::string group, std::string resource, std::string ns, std::string name) -> Result<void> {
    AccessRequest a{call.user, true, "impersonate", std::move(group), std::move(resource), std::move(ns), std::move(name), ""};
    if (call.s.authorizer->authorize(a).allowed) return {};
    return forbidden(a.group, a.resource_name, a.name, Authorizer::describe(a));
  };
  if (wanted.name.starts_with("system:serviceaccount:")) {
    auto rest = wanted.name.substr(22);
    auto colon = rest.find(':');
    NV_TRY_VOID(ask("", "serviceaccounts", rest.substr(0, colon), colon == std::string::npos ? "" : rest.substr(colon + 1)));
  } else {
    NV_TRY_VOID(ask("", "users", "", wanted.name));
  }
  for (const auto& g : call.request.headers.all("Impersonate-Group")) NV_TRY_VOID(ask("", "groups", "", std::string(g)));
  if (!wanted.uid.empty()) NV_TRY_VOID(ask("authentication.k8s.io", "uids", "", wanted.uid));
  for (const auto& [key, values] : wanted.extra)
    for (const auto& v : values) NV_TRY_VOID(ask("authentication.k8s.io", "userextras/" + key, "", v));
  return {};
}

Result<void> authenticate(Call& call, std::optional<UserInfo> known) {
  if (known) {
    call.user = std::move(*known);
  } else {
    NV_TRY(auto user, call.s.authenticator->authenticate(call.request));
    if (user) call.user = std::move(*user);
    else call.user = {"system:anonymous", "", {"system:unauthenticated"}, {}};
  }
  NV_TRY(auto wanted, Authenticator::impersonated(call.request));
  if (wanted) {
    NV_TRY_VOID(may_impersonate(call, *wanted));
    call.user = std::move(*wanted);
  }
  return {};
}

bool is_health(const std::string& p) {
  for (const char* root : {"/healthz", "/livez", "/readyz"})
    if (p == root || p.starts_with(std::string(root) + "/")) return true;
  return false;
}

Awaitable<void> route_resource(Call& call) {
  const auto& m = call.request.method;
  auto& info = call.info;
  call.resource = call.s.registry.find(info.group, info.resource);
  if (!call.resource || !call.resource->version(info.version)) { co_await send_error(call, no_such_path()); co_return; }
  const auto& r = *call.resource;
  // A namespaced kind has no objects outside a namespace, and the reverse.
  bool wrong_scope = (!info.name.empty() || info.verb == "create" || info.verb == "deletecollection") && r.namespaced && info.ns.empty() && !r.virtual_kind;
  bool wrong_ns = !r.namespaced && !info.ns.empty() && info.resource != "namespaces";
  if (wrong_ns || (wrong_scope && info.verb != "create")) { co_await send_error(call, no_such_path()); co_return; }
  if (const auto* v = r.version(info.version); v && !v->deprecation.empty()) call.warnings.push_back(v->deprecation);
  auto form = negotiate(call.accept());
  if (!form.ok()) { co_await send_error(call, form.error()); co_return; }
  call.form = *form;
  if (r.virtual_kind) {
    if (m == "POST") co_await handle_review(call);
    else co_await send_error(call, method_not_allowed());
    co_return;
  }
  if (!info.subresource.empty()) { co_await handle_subresource(call); co_return; }
  if (info.verb == "watch") { co_await handle_watch(call); co_return; }
  if (!r.allows(info.verb)) { co_await send_error(call, method_not_allowed()); co_return; }
  if (info.verb == "get") co_await handle_get(call);
  else if (info.verb == "list") co_await handle_list(call);
  else if (info.verb == "create") co_await handle_create(call);
  else if (info.verb == "update") co_await handle_update(call);
  else if (info.verb == "patch") co_await handle_patch(call);
  else if (info.verb == "delete") co_await handle_delete(call);
  else if (info.verb == "deletecollection") co_await handle_delete_collection(call);
  else co_await send_error(call, method_not_allowed());
}

Awaitable<void> route(Call& call) {
  const auto& path = call.info.path;
  if (is_health(path)) { co_await send_text(call, 200, "ok"); co_return; }
  if (call.info.resource_request) {
    if (call.s.aggregator->serves(call.info.group, call.info.version)) { co_await call.s.aggregator->proxy(call); co_return; }
    co_await route_resource(call);
    co_return;
  }
  if (path.starts_with("/openapi/")) { co_await handle_openapi(call); co_return; }
  if (path == "/metrics") { co_await handle_metrics(call); co_return; }
  // Below an aggregated group version, discovery is its own server's.
  std::string_view rest = path;
  if (rest.starts_with("/apis/")) {
    rest.remove_prefix(6);
    auto slash = rest.find('/');
    if (slash != std::string_view::npos) {
      auto version = rest.substr(slash + 1);
      while (version.ends_with('/')) version.remove_suffix(1);
      if (version.find('/') == std::string_view::npos && call.s.aggregator->serves(std::string(rest.substr(0, slash)), std::string(version))) {
        co_await call.s.aggregator->proxy(call);
        co_return;
      }
    }
  }
  if (call.request.method != "GET" && call.request.method != "HEAD") { co_await send_error(call, method_not_allowed()); co_return; }
  co_await handle_discovery(call);
}

}  // namespace

Awaitable<void> dispatch(std::shared_ptr<ServerState> state, net::ServerRequest& request, net::ResponseStream& response,
                         std::optional<UserInfo> user) {
  auto query = request.query();
  auto call = std::make_unique<Call>(Call{*state, request, response, query, parse_request(request, query), {}, nullptr, {}, {}, {}});
  auto& info = call->info;
  if (info.resource_request && info.name.empty() && (info.verb == "list" || info.verb == "watch" || info.verb == "deletecollection"))
    info.name = selected_name(query);
  bool selected = !info.name.empty() && info.verb != "get" && info.verb != "create" && info.verb != "update" && info.verb != "patch" && info.verb != "delete";
  auto who = authenticate(*call, std::move(user));
  if (!who.ok()) { co_await send_error(*call, who.error()); co_return; }
  auto access = access_of(*call);
  auto decision = state->authorizer->authorize(access);
  if (!decision.allowed) {
    auto why = Authorizer::describe(access);
    auto error = access.resource ? forbidden(access.group, access.resource_name, access.name, why)
                                 : forbidden(fmt::format("forbidden: {}", why));
    co_await send_error(*call, std::move(error));
    co_return;
  }
  if (selected && info.verb != "watch") info.name.clear();   // it was only for the decision
  std::string failure;
  try {
    co_await route(*call);
  } catch (const std::exception& e) {
    failure = e.what();
    if (failure.empty()) failure = "exception";
  }
  if (!failure.empty()) {
    log::error("{} {}: {}", request.method, info.path, failure);
    if (!response.started()) co_await send_error(*call, internal_error(failure));
  }
}

}  // namespace nodevirt::apiserver
