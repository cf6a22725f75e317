// Reviews: questions about who one is and what one may do. They are answered and never stored.
#include <fmt/format.h>

#include "standalone/apiserver/auth/authenticator.hpp"
#include "standalone/apiserver/auth/authorizer.hpp"
#include "standalone/apiserver/handlers/call.hpp"

namespace nodevirt::apiserver {

namespace {

Json user_json(const UserInfo& u) {
  Json o{{"username", u.name}};
  if (!u.uid.empty()) o["uid"] = u.uid;
  if (!u.groups.empty()) o["groups"] = u.groups;
  if (!u.extra.empty()) o["extra"] = u.extra;
  return o;
}

Result<AccessRequest> access_of(const Json& spec, UserInfo user) {
  AccessRequest a;
  a.user = std::move(user);
  const Json* resource = find(spec, {"resourceAttributes"});
  const Json* path = find(spec, {"nonResourceAttributes"});
  bool has_resource = resource && resource->is_object(), has_path = path && path->is_object();
  if (has_resource == has_path)
    return bad_request("exactly one of nonResourceAttributes or resourceAttributes must be specified");
  if (has_path) {
    a.resource = false;
    a.verb = string_at(*path, {"verb"});
    a.path = string_at(*path, {"path"});
    return a;
  }
  a.verb = string_at(*resource, {"verb"});
  a.group = string_at(*resource, {"group"});
  a.ns = string_at(*resource, {"namespace"});
  a.name = string_at(*resource, {"name"});
  a.resource_name = string_at(*resource, {"resource"});
  if (auto sub = string_at(*resource, {"subresource"}); !sub.empty()) a.resource_name += "/" + sub;
  return a;
}

Result<Json> answer(Call& call, Json review) {
  const auto& kind = call.resource->kind;
  Json spec = review.value("spec", Json::object());
  if (!spec.is_object()) return bad_request("spec must be an object");
  if (kind == "SelfSubjectReview") {
    review["status"] = {{"userInfo", user_json(call.user)}};
    return review;
  }
  if (kind == "TokenReview") {
    std::vector<std::string> audiences;
    if (const Json* list = find(spec, {"audiences"}); list && list->is_array())
      for (const auto& one : *list) if (one.is_string()) audiences.push_back(one);
    auto user = call.s.authenticator->token_user(string_at(spec, {"token"}), audiences);
    if (!user.ok()) {
      review["status"] = {{"authenticated", false}, {"error", user.error().message}};
    } else {
      review["status"] = {{"authenticated", true}, {"user", user_json(*user)}};
      if (!audiences.empty()) review["status"]["audiences"] = audiences;
    }
    return review;
  }
  if (kind == "SelfSubjectRulesReview") {
    auto rules = call.s.authorizer->rules_for(call.user, string_at(spec, {"namespace"}));
    Json resources = Json::array(), others = Json::array();
    for (const auto& r : rules) {
      if (!r.resources.empty()) resources.push_back({{"verbs", r.verbs}, {"apiGroups", r.groups}, {"resources", r.resources}, {"resourceNames", r.names}});
      if (!r.paths.empty()) others.push_back({{"verbs", r.verbs}, {"nonResourceURLs", r.paths}});
    }
    review["status"] = {{"resourceRules", std::move(resources)}, {"nonResourceRules", std::move(others)}, {"incomplete", false}};
    return review;
  }
  UserInfo user = call.user;
  if (kind != "SelfSubjectAccessReview") {
    user = {string_at(spec, {"user"}), string_at(spec, {"uid"}), {}, {}};
    if (const Json* groups = find(spec, {"groups"}); groups && groups->is_array())
      for (const auto& g : *groups) if (g.is_string()) user.groups.push_back(g);
    if (user.name.empty() && user.groups.empty()) return bad_request("at least one of user or group must be specified");
  }
  NV_TRY(auto access, access_of(spec, std::move(user)));
  if (kind == "LocalSubjectAccessReview" && access.ns != call.info.ns)
    return bad_request("spec.resourceAttributes.namespace must match the namespace of the request");
  auto decision = call.s.authorizer->authorize(access);
  review["status"] = {{"allowed", decision.allowed}};
  if (!decision.reason.empty()) review["status"]["reason"] = decision.reason;
  return review;
}

}  // namespace

Awaitable<void> handle_review(Call& call) {
  auto body = decode_body(call.request.headers.get("Content-Type"), call.request.body);
  if (!body.ok()) { co_await send_error(call, body.error()); co_return; }
  if (auto kind = string_at(body->object, {"kind"}); !kind.empty() && kind != call.resource->kind) {
    co_await send_error(call, bad_request(fmt::format("the kind in the data ({}) does not match the expected kind ({})", kind, call.resource->kind)));
    co_return;
  }
  body->object["kind"] = call.resource->kind;
  body->object["apiVersion"] = call.resource->api_version(call.info.version);
  if (!body->object.contains("metadata") || !body->object["metadata"].is_object()) body->object["metadata"] = Json::object();
  body->object["metadata"]["creationTimestamp"] = nullptr;
  auto out = answer(call, std::move(body->object));
  if (!out.ok()) { co_await send_error(call, out.error()); co_return; }
  co_await send_value(call, 201, std::move(*out));
}

}  // namespace nodevirt::apiserver
