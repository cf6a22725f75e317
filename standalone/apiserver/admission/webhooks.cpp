#include "standalone/apiserver/admission/webhooks.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "pkg/base/id.hpp"
#include "pkg/base/log.hpp"
#include "pkg/k8s/json_patch.hpp"
#include "pkg/k8s/selector.hpp"
#include "standalone/apiserver/crd/converter.hpp"
#include "standalone/apiserver/errors.hpp"
#include "standalone/apiserver/service_resolver.hpp"

namespace nodevirt::apiserver {

namespace {

const std::string kMutating = "mutatingwebhookconfigurations.admissionregistration.k8s.io";
const std::string kValidating = "validatingwebhookconfigurations.admissionregistration.k8s.io";

bool lists(const Json& rule, const char* key, std::string_view value) {
  const Json* list = find(rule, {key});
  if (!list || !list->is_array()) return false;
  for (const auto& one : *list)
    if (one.is_string() && (one.get_ref<const std::string&>() == "*" || one.get_ref<const std::string&>() == value)) return true;
  return false;
}

bool resource_matches(const Json& rule, const std::string& resource, const std::string& subresource) {
  const Json* list = find(rule, {"resources"});
  if (!list || !list->is_array()) return false;
  for (const auto& one : *list) {
    if (!one.is_string()) continue;
    const auto& text = one.get_ref<const std::string&>();
    auto slash = text.find('/');
    auto res = text.substr(0, slash);
    auto sub = slash == std::string::npos ? std::string() : text.substr(slash + 1);
    bool res_ok = res == "*" || res == resource;
    bool sub_ok = slash == std::string::npos ? subresource.empty() : sub == "*" || sub == subresource;
    if (res_ok && sub_ok) return true;
  }
  return false;
}

bool selector_matches(const Json& hook, const char* key, const k8s::Labels& labels) {
  const Json* selector = find(hook, {key});
  if (!selector || selector->is_null()) return true;
  auto parsed = k8s::LabelSelector::from_json(*selector);
  return parsed.ok() && parsed->matches(labels);
}

Json user_json(const UserInfo& user) {
  Json u{{"username", user.name}};
  if (!user.uid.empty()) u["uid"] = user.uid;
  if (!user.groups.empty()) u["groups"] = user.groups;
  if (!user.extra.empty()) u["extra"] = user.extra;
  return u;
}

Error call_failed(const std::string& name, const std::string& why) {
  return internal_error(fmt::format("failed calling webhook \"{}\": failed to call webhook: {}", name, why));
}

}  // namespace

const std::vector<Webhooks::Hook>& Webhooks::hooks(const std::string& resource) {
  std::vector<StoredPtr> now;
  s_.store->list(resource, "", "", [&now](const StoredPtr& o) { now.push_back(o); return true; });
  auto& cached = cache_[resource];
  if (cached.from == now) return cached.hooks;
  cached.from = std::move(now);
  cached.hooks.clear();
  for (const auto& stored : cached.from) {
    auto text = s_.store->text(resource, stored);
    if (!text.ok()) continue;
    auto config = parse_json(**text);
    if (!config.ok()) continue;
    if (const Json* list = find(*config, {"webhooks"}); list && list->is_array())
      for (const auto& one : *list) cached.hooks.push_back({string_at(one, {"name"}), one});
  }
  return cached.hooks;
}

Webhooks::Match Webhooks::match(const Hook& hook, const AdmissionAttributes& a, const Json& object, const Json& old) const {
  const auto& info = *a.resource;
  if (info.group == "admissionregistration.k8s.io") return {};   // or a broken webhook could not be removed
  Match out;
  const Json* rules = find(hook.config, {"rules"});
  if (!rules || !rules->is_array()) return out;
  auto fits = [&](const Json& rule, const std::string& version) {
    auto scope = string_at(rule, {"scope"}, "*");
    bool scope_ok = scope == "*" || (scope == "Namespaced") == info.namespaced;
    return scope_ok && lists(rule, "operations", a.operation) && lists(rule, "apiGroups", info.group) &&
           lists(rule, "apiVersions", version) && resource_matches(rule, info.plural, a.subresource);
  };
  for (const auto& rule : *rules)
    if (!out.matches && fits(rule, a.version)) out = {true, a.version};
  if (!out.matches && string_at(hook.config, {"matchPolicy"}, "Equivalent") == "Equivalent")
    for (const auto& rule : *rules)
      for (const auto& v : info.versions)
        if (!out.matches && v.served && fits(rule, v.name)) out = {true, v.name};
  if (!out.matches) return out;

  if (info.namespaced || info.id == "namespaces") {
    k8s::Labels labels;
    if (info.id == "namespaces") {
      labels = k8s::labels_of(object.is_null() ? old : object);
    } else if (auto ns = s_.store->head("namespaces", "", a.ns)) {
      labels = ns->index.labels;
    }
    if (!selector_matches(hook.config, "namespaceSelector", labels)) return {};
  }
  bool object_ok = !object.is_null() && selector_matches(hook.config, "objectSelector", k8s::labels_of(object));
  bool old_ok = !old.is_null() && selector_matches(hook.config, "objectSelector", k8s::labels_of(old));
  if (!object_ok && !old_ok) {
    const Json* selector = find(hook.config, {"objectSelector"});
    if (selector && selector->is_object() && !selector->empty()) return {};
  }
  return out;
}

Awaitable<Result<Webhooks::Answer>> Webhooks::call(Hook hook, AdmissionAttributes a, std::string version, Json object, Json old,
                                                   std::vector<std::string>& warnings) {
  const auto& info = *a.resource;
  bool fail = string_at(hook.config, {"failurePolicy"}, "Fail") != "Ignore";
  if (a.dry_run) {
    auto effects = string_at(hook.config, {"sideEffects"});
    if (effects != "None" && effects != "NoneOnDryRun")
      co_return bad_request(fmt::format("admission webhook \"{}\" does not support dry run", hook.name));
  }
  if (version != a.version) {
    for (Json* o : {&object, &old}) {
      if (o->is_null()) continue;
      auto converted = co_await s_.converter->to_version(a.resource, std::move(*o), version);
      if (!converted.ok()) co_return Error(converted.error());
      *o = std::move(*converted);
    }
  }
  auto gvk = [&](const std::string& v) {
    if (!a.object_kind.empty()) return Json{{"group", a.object_group}, {"version", a.object_version}, {"kind", a.object_kind}};
    return Json{{"group", info.group}, {"version", v}, {"kind", info.kind}};
  };
  auto gvr = [&](const std::string& v) { return Json{{"group", info.group}, {"version", v}, {"resource", info.plural}}; };
  auto uid = new_uuid();
  Json request{{"uid", uid}, {"kind", gvk(version)}, {"resource", gvr(version)}, {"requestKind", gvk(a.version)},
               {"requestResource", gvr(a.version)}, {"operation", a.operation}, {"userInfo", user_json(a.user)},
               {"object", std::move(object)}, {"oldObject", std::move(old)}, {"dryRun", a.dry_run}};
  if (!a.subresource.empty()) request["subResource"] = request["requestSubResource"] = a.subresource;
  if (!a.name.empty()) request["name"] = a.name;
  if (info.namespaced) request["namespace"] = a.ns;
  else if (info.id == "namespaces") request["namespace"] = a.name;
  const char* kind = a.operation == "CREATE" ? "CreateOptions" : a.operation == "DELETE" ? "DeleteOptions" : "UpdateOptions";
  Json options = a.options.is_object() ? a.options : Json::object();
  options["apiVersion"] = "meta.k8s.io/v1";
  options["kind"] = kind;
  request["options"] = std::move(options);
  Json review{{"apiVersion", "admission.k8s.io/v1"}, {"kind", "AdmissionReview"}, {"request", std::move(request)}};

  auto seconds = std::clamp<std::int64_t>(int_at(hook.config, {"timeoutSeconds"}, 10), 1, 30);
  const Json* client_config = find(hook.config, {"clientConfig"});
  auto attempt = [](ServerState& s, Json config, std::int64_t timeout, std::string body, std::string expected) -> Awaitable<Result<Json>> {
    auto target = s.resolver->target(config, std::chrono::seconds(timeout));
    if (!target.ok()) co_return Error(target.error());
    net::Request req;
    req.method = "POST";
    req.target = target->path + (target->path.find('?') == std::string::npos ? "?" : "&") + fmt::format("timeout={}s", timeout);
    req.headers.set("Content-Type", "application/json");
    req.headers.set("Accept", "application/json");
    req.body = std::move(body);
    auto sent = co_await target->client->send(std::move(req));
    if (!sent.ok()) co_return sent.error().with_context(fmt::format("Post \"{}\"", target->shown));
    if (sent->status != 200) co_return Error(Code::Unavailable, fmt::format("Post \"{}\": the server answered {}", target->shown, sent->status));
    NV_CO_TRY(auto answer, parse_json(sent->body, 512));
    if (string_at(answer, {"response", "uid"}) != expected)
      co_return Error(Code::Internal, "the answer's uid is not the request's");
    co_return answer;
  };
  auto body = dump_json(review);
  review = nullptr;
  Json config = client_config ? *client_config : Json::object();
  auto answered = co_await attempt(s_, std::move(config), seconds, std::move(body), uid);
  if (!answered.ok()) {
    if (fail) co_return call_failed(hook.name, answered.error().message);
    log::warning("webhook {} failed, ignored by its policy: {}", hook.name, answered.error().message);
    co_return Answer{};
  }
  const Json& response = (*answered)["response"];
  if (const Json* list = find(response, {"warnings"}); list && list->is_array())
    for (const auto& w : *list) if (w.is_string()) warnings.push_back(w);
  if (!bool_at(response, {"allowed"})) {
    const Json* status = find(response, {"status"});
    auto error = error_from_status(status && status->is_object() ? *status : Json::object(), 400);
    auto said = status ? string_at(*status, {"message"}) : std::string();
    if (said.empty() && status) said = string_at(*status, {"reason"});
    error.message = said.empty() ? fmt::format("admission webhook \"{}\" denied the request without explanation", hook.name)
                                 : fmt::format("admission webhook \"{}\" denied the request: {}", hook.name, said);
    co_return error;
  }
  Answer out;
  out.called = true;
  if (auto encoded = string_at(response, {"patch"}); !encoded.empty()) {
    std::string raw;
    auto patch = base64_decode(encoded, raw) ? parse_json(raw, 512) : Result<Json>(Error(Code::InvalidArgument, "its patch is not base64"));
    if (!patch.ok()) {
      if (fail) co_return call_failed(hook.name, patch.error().message);
      co_return Answer{};
    }
    out.patch = std::move(*patch);
  }
  co_return out;
}

Awaitable<Result<Json>> Webhooks::mutate(AdmissionAttributes a, Json object, Json old, std::vector<std::string>& warnings) {
  auto list = hooks(kMutating);
  std::vector<bool> ran(list.size(), false);
  std::size_t last_change = 0;
  bool changed_once = false;
  for (int round = 0; round < 2; ++round) {
    for (std::size_t i = 0; i < list.size(); ++i) {
      if (round == 1 && (!ran[i] || !changed_once || last_change <= i || string_at(list[i].config, {"reinvocationPolicy"}) != "IfNeeded")) continue;
      auto m = match(list[i], a, object, old);
      if (!m.matches) continue;
      auto answer = co_await call(list[i], a, m.version, object, old, warnings);
      if (!answer.ok()) co_return Error(answer.error());
      ran[i] = answer->called;
      if (!answer->patch.is_array() || answer->patch.empty()) continue;
      Json subject = object;
      if (m.version != a.version) {
        auto converted = co_await s_.converter->to_version(a.resource, std::move(subject), m.version);
        if (!converted.ok()) co_return Error(converted.error());
        subject = std::move(*converted);
      }
      auto patched = k8s::apply_json_patch(std::move(subject), answer->patch);
      if (!patched.ok()) {
        if (string_at(list[i].config, {"failurePolicy"}, "Fail") == "Ignore") continue;
        co_return call_failed(list[i].name, patched.error().message);
      }
      if (m.version != a.version) {
        auto back = co_await s_.converter->to_version(a.resource, std::move(*patched), a.version);
        if (!back.ok()) co_return Error(back.error());
        *patched = std::move(*back);
      }
      if (*patched != object) {
        object = std::move(*patched);
        last_change = i;
        changed_once = true;
      }
    }
  }
  co_return object;
}

Awaitable<Result<void>> Webhooks::validate(AdmissionAttributes a, Json object, Json old, std::vector<std::string>& warnings) {
  auto list = hooks(kValidating);
  for (std::size_t i = 0; i < list.size(); ++i) {
    auto m = match(list[i], a, object, old);
    if (!m.matches) continue;
    auto answer = co_await call(list[i], a, m.version, object, old, warnings);
    if (!answer.ok()) co_return Error(answer.error());
  }
  co_return Result<void>();
}

}  // namespace nodevirt::apiserver
