// Subresources: status, scale, finalize, binding, eviction, token, log.
#include <algorithm>

#include <fmt/format.h>

#include "standalone/apiserver/auth/authenticator.hpp"
#include "standalone/apiserver/crd/converter.hpp"
#include "standalone/apiserver/handlers/call.hpp"
#include "standalone/apiserver/handlers/pod_subresources.hpp"
#include "standalone/apiserver/objects.hpp"
#include "standalone/apiserver/service_resolver.hpp"
#include "pkg/k8s/merge_patch.hpp"
#include "pkg/k8s/json_patch.hpp"

namespace nodevirt::apiserver {

namespace {

/// ".spec.replicas" of an object; null when absent.
const Json* at_path(const Json& object, std::string_view path) {
  const Json* at = &object;
  while (!path.empty() && at) {
    if (path.front() == '.') path.remove_prefix(1);
    auto dot = std::min(path.find('.'), path.size());
    if (!at->is_object()) return nullptr;
    auto it = at->find(std::string(path.substr(0, dot)));
    at = it == at->end() ? nullptr : &*it;
    path.remove_prefix(dot);
  }
  return at;
}

Json scale_of(const Json& object, const ServedVersion& v) {
  auto number = [&](const char* key) {
    const Json* n = at_path(object, string_at(v.scale_paths, {key}));
    return n && n->is_number_integer() ? n->get<std::int64_t>() : 0;
  };
  const auto& m = object.at("metadata");
  Json metadata = Json::object();
  for (const char* key : {"name", "namespace", "uid", "resourceVersion", "creationTimestamp"}) if (m.contains(key)) metadata[key] = m[key];
  Json scale{{"kind", "Scale"}, {"apiVersion", "autoscaling/v1"}, {"metadata", std::move(metadata)},
             {"spec", {{"replicas", number("specReplicasPath")}}}, {"status", {{"replicas", number("statusReplicasPath")}}}};
  if (auto path = string_at(v.scale_paths, {"labelSelectorPath"}); !path.empty())
    if (const Json* s = at_path(object, path); s && s->is_string()) scale["status"]["selector"] = *s;
  return scale;
}

Awaitable<void> scale(Call& call, ServedVersion v) {
  auto& info = *call.resource;
  std::string ns = info.namespaced ? call.info.ns : "";
  call.form.kind = AnswerForm::Kind::Object;
  if (call.request.method == "GET") {
    auto object = co_await call.s.objects->get(call.resource, call.info.version, ns, call.info.name);
    if (!object.ok()) { co_await send_error(call, object.error()); co_return; }
    co_await send_value(call, 200, scale_of(*object, v));
    co_return;
  }
  auto context = write_context(call);
  if (!context.ok()) { co_await send_error(call, context.error()); co_return; }
  bool patch = call.request.method == "PATCH";
  auto type = media_type(call.request.headers.get("Content-Type"));
  auto body = decode_body("application/json", call.request.body);
  if (!body.ok()) { co_await send_error(call, body.error()); co_return; }
  if (patch && type == "application/apply-patch+yaml") {
    co_await send_error(call, unsupported_media_type("server-side apply of a scale subresource is not supported"));
    co_return;
  }
  auto wanted = std::make_shared<const Json>(std::move(body->object));
  auto path = string_at(v.scale_paths, {"specReplicasPath"});
  Objects::Mutate mutate = [wanted, v, patch, type, path](const Json* current) -> Result<Json> {
    Json now = scale_of(*current, v), next;
    if (!patch) next = *wanted;
    else if (type == "application/json-patch+json") { NV_TRY(next, k8s::apply_json_patch(now, *wanted)); }
    else next = k8s::apply_merge_patch(now, *wanted);
    auto replicas = int_at(next, {"spec", "replicas"});
    if (replicas < 0) return invalid_field("autoscaling", "Scale", string_at(*current, {"metadata", "name"}), "spec.replicas", "FieldValueInvalid", fmt::format("Invalid value: {}: should be non-negative", replicas));
    Json out = *current;
    Json* at = &out;
    std::string_view rest = path;
    while (!rest.empty()) {
      if (rest.front() == '.') rest.remove_prefix(1);
      auto dot = std::min(rest.find('.'), rest.size());
      at = &(*at)[std::string(rest.substr(0, dot))];
      rest.remove_prefix(dot);
      if (!rest.empty() && !at->is_object()) *at = Json::object();
    }
    *at = replicas;
    if (auto rv = string_at(next, {"metadata", "resourceVersion"}); !rv.empty()) out["metadata"]["resourceVersion"] = rv;
    return out;
  };
  context->subresource = "scale";
  Objects::UpdateOptions options;
  options.patch = true;
  auto written = co_await call.s.objects->update(*context, options, std::move(mutate));
  if (!written.ok()) { co_await send_error(call, written.error()); co_return; }
  co_await send_value(call, 200, scale_of(written->object, v));
}

Awaitable<void> token(Call& call) {
  auto body = decode_body(call.request.headers.get("Content-Type"), call.request.body);
  if (!body.ok()) { co_await send_error(call, body.error()); co_return; }
  auto issued = issue_token(call.s, call.info.ns, call.info.name, std::move(body->object));
  if (!issued.ok()) { co_await send_error(call, issued.error()); co_return; }
  call.form.kind = AnswerForm::Kind::Object;
  co_await send_value(call, 201, std::move(*issued));
}

}  // namespace

Awaitable<void> handle_subresource(Call& call) {
  const auto& info = *call.resource;
  const auto& sub = call.info.subresource;
  const auto& m = call.request.method;
  const auto* v = info.version(call.info.version);
  if (info.namespaced && call.info.ns.empty()) { co_await send_error(call, no_such_path()); co_return; }
  if (sub == "status" && v->status) {
    if (m == "GET") co_await handle_get(call);
    else if (m == "PUT") co_await handle_update(call);
    else if (m == "PATCH") co_await handle_patch(call);
    else co_await send_error(call, method_not_allowed());
    co_return;
  }
  if (sub == "scale" && v->scale) {
    ServedVersion copy = *v;
    if (m == "GET" || m == "PUT" || m == "PATCH") co_await scale(call, std::move(copy));
    else co_await send_error(call, method_not_allowed());
    co_return;
  }
  const auto* known = info.subresource(sub);
  if (!known) { co_await send_error(call, no_such_path()); co_return; }
  if (info.id == "namespaces" && sub == "finalize") {
    if (m == "PUT") co_await handle_update(call);
    else co_await send_error(call, method_not_allowed());
    co_return;
  }
  if (info.id == "serviceaccounts" && sub == "token") {
    if (m == "POST") co_await token(call);
    else co_await send_error(call, method_not_allowed());
    co_return;
  }
  if (info.id == "pods") { co_await handle_pod_subresource(call); co_return; }
  co_await send_error(call, no_such_path());
}

}  // namespace nodevirt::apiserver
