#include "standalone/apiserver/handlers/pod_subresources.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "pkg/k8s/selector.hpp"
#include "standalone/apiserver/admission/webhooks.hpp"
#include "standalone/apiserver/objects.hpp"

namespace nodevirt::apiserver {

namespace {

Json success() {
  return {{"kind", "Status"}, {"apiVersion", "v1"}, {"metadata", Json::object()}, {"status", "Success"}, {"code", 201}};
}

Awaitable<void> bind(Call& call) {
  auto context = write_context(call);
  if (!context.ok()) { co_await send_error(call, context.error()); co_return; }
  auto body = decode_body(call.request.headers.get("Content-Type"), call.request.body);
  if (!body.ok()) { co_await send_error(call, body.error()); co_return; }
  const Json binding = std::move(body->object);
  auto node = string_at(binding, {"target", "name"});
  auto kind = string_at(binding, {"target", "kind"}, "Node");
  auto name = call.info.name;
  if (node.empty() || (kind != "Node" && !kind.empty())) {
    co_await send_error(call, invalid_field("", "Binding", name, "target.name", "FieldValueRequired", "Required value: the node's name"));
    co_return;
  }
  auto wanted_uid = string_at(binding, {"metadata", "uid"});
  auto now = call.s.clock().wall();
  std::function<Result<bool>(Json&)> change = [node, name, wanted_uid, now, binding](Json& pod) -> Result<bool> {
    if (!wanted_uid.empty() && wanted_uid != string_at(pod, {"metadata", "uid"}))
      return conflict("", "pods", name, "the pod is another one by now");
    if (find(pod, {"metadata", "deletionTimestamp"})) return conflict("", "pods/binding", name, fmt::format("pod {} is being deleted, cannot be assigned to a host", name));
    if (auto at = string_at(pod, {"spec", "nodeName"}); !at.empty())
      return conflict("", "pods/binding", name, fmt::format("pod {} is already assigned to node \"{}\"", name, at));
    pod["spec"]["nodeName"] = node;
    if (const Json* annotations = find(binding, {"metadata", "annotations"}); annotations && annotations->is_object())
      for (const auto& [k, v] : annotations->items()) pod["metadata"]["annotations"][k] = v;
    auto& conditions = pod["status"]["conditions"];
    if (!conditions.is_array()) conditions = Json::array();
    Json scheduled{{"type", "PodScheduled"}, {"status", "True"}, {"lastProbeTime", nullptr}, {"lastTransitionTime", format_time(now)}};
    auto it = std::find_if(conditions.begin(), conditions.end(), [](const Json& c) { return string_at(c, {"type"}) == "PodScheduled"; });
    if (it == conditions.end()) conditions.push_back(std::move(scheduled));
    else *it = std::move(scheduled);
    return true;
  };
  auto done = co_await call.s.objects->modify(call.resource, call.info.ns, name, std::move(change), context->dry_run);
  if (!done.ok()) { co_await send_error(call, done.error()); co_return; }
  co_await send_value(call, 201, success());
}

const std::string kBudgets = "poddisruptionbudgets.policy";

Error disruption(const std::string& message, const std::string& cause, int retry_after) {
  return with_cause(too_many_requests(message, retry_after), "", "DisruptionBudget", cause);
}

bool ready(const Json& pod) {
  if (const Json* list = find(pod, {"status", "conditions"}); list && list->is_array())
    for (const auto& c : *list) if (string_at(c, {"type"}) == "Ready") return string_at(c, {"status"}) == "True";
  return false;
}

/// Takes one disruption from the pod's budget.
Awaitable<Result<void>> spend_budget(ServerState& s, std::string ns, Json pod, bool dry_run) {
  std::vector<StoredPtr> budgets;
  auto labels = k8s::labels_of(pod);
  Json budget;
  s.store->list(kBudgets, ns, "", [&](const StoredPtr& stored) {
    auto text = s.store->text(kBudgets, stored);
    auto object = text.ok() ? parse_json(**text) : Result<Json>(text.error());
    if (!object.ok()) return true;
    const Json* selector = find(*object, {"spec", "selector"});
    auto parsed = k8s::LabelSelector::from_json(selector ? *selector : Json());
    if (parsed.ok() && parsed->matches(labels)) {
      budgets.push_back(stored);
      budget = std::move(*object);
    }
    return true;
  });
  if (budgets.empty()) co_return Result<void>();
  if (budgets.size() > 1) co_return internal_error("This pod has more than one PodDisruptionBudget, which the eviction subresource does not support.");
  auto phase = string_at(pod, {"status", "phase"});
  if (phase == "Pending" || phase == "Succeeded" || phase == "Failed") co_return Result<void>();
  auto policy = string_at(budget, {"spec", "unhealthyPodEvictionPolicy"});
  if (!ready(pod) && (policy == "AlwaysAllow" || int_at(budget, {"status", "currentHealthy"}) >= int_at(budget, {"status", "desiredHealthy"})))
    co_return Result<void>();
  auto pod_name = string_at(pod, {"metadata", "name"});
  auto name = budgets.front()->name;
  auto now = s.clock().wall();
  std::function<Result<bool>(Json&)> change = [pod_name, name, now](Json& o) -> Result<bool> {
    if (int_at(o, {"status", "observedGeneration"}) < int_at(o, {"metadata", "generation"}))
      return disruption("Cannot evict pod as it would violate the pod's disruption budget.", fmt::format("The disruption budget {} is still being processed by the server.", name), 10);
    auto allowed = int_at(o, {"status", "disruptionsAllowed"});
    if (allowed <= 0)
      return disruption("Cannot evict pod as it would violate the pod's disruption budget.",
                        fmt::format("The disruption budget {} needs {} healthy pods and has {} currently", name,
                                    int_at(o, {"status", "desiredHealthy"}), int_at(o, {"status", "currentHealthy"})), 0);
    o["status"]["disruptionsAllowed"] = allowed - 1;
    o["status"]["disruptedPods"][pod_name] = format_time(now);
    return true;
  };
  auto budgets_resource = s.registry.by_id(kBudgets);
  auto done = co_await s.objects->modify(budgets_resource, ns, name, std::move(change), dry_run);
  if (!done.ok()) co_return Error(done.error());
  co_return Result<void>();
}

Awaitable<void> evict(Call& call) {
  auto context = write_context(call);
  if (!context.ok()) { co_await send_error(call, context.error()); co_return; }
  auto body = decode_body(call.request.headers.get("Content-Type"), call.request.body);
  if (!body.ok()) { co_await send_error(call, body.error()); co_return; }
  Json eviction = std::move(body->object);
  auto name = call.info.name, ns = call.info.ns;
  if (auto other = string_at(eviction, {"metadata", "name"}); !other.empty() && other != name) {
    co_await send_error(call, bad_request(fmt::format("name in URL does not match name in Eviction object: {} != {}", name, other)));
    co_return;
  }
  eviction["metadata"]["name"] = name;
  eviction["metadata"]["namespace"] = ns;
  if (const Json* dry = find(eviction, {"deleteOptions", "dryRun"}); dry && dry->is_array() && !dry->empty()) context->dry_run = true;
  auto pod = co_await call.s.objects->get(call.resource, "v1", ns, name);
  if (!pod.ok()) { co_await send_error(call, pod.error()); co_return; }

  AdmissionAttributes a;
  a.resource = call.resource;
  a.version = "v1";
  a.subresource = "eviction";
  a.operation = "CREATE";
  a.ns = ns;
  a.name = name;
  a.user = call.user;
  a.dry_run = context->dry_run;
  a.object_group = "policy";
  a.object_version = "v1";
  a.object_kind = "Eviction";
  if (string_at(eviction, {"apiVersion"}).empty()) eviction["apiVersion"] = "policy/v1";
  eviction["kind"] = "Eviction";
  auto mutated = co_await call.s.webhooks->mutate(a, eviction, Json(), call.warnings);
  if (!mutated.ok()) { co_await send_error(call, mutated.error()); co_return; }
  eviction = std::move(*mutated);
  auto admitted = co_await call.s.webhooks->validate(a, eviction, Json(), call.warnings);
  if (!admitted.ok()) { co_await send_error(call, admitted.error()); co_return; }

  if (!find(*pod, {"metadata", "deletionTimestamp"})) {
    Json subject = *pod;
    auto spent = co_await spend_budget(call.s, ns, std::move(subject), context->dry_run);
    if (!spent.ok()) { co_await send_error(call, spent.error()); co_return; }
  }
  Deletion d;
  if (const Json* options = find(eviction, {"deleteOptions"}); options && options->is_object()) {
    d.options = *options;
    if (const Json* g = find(*options, {"gracePeriodSeconds"}); g && g->is_number_integer()) d.grace_seconds = std::max<std::int64_t>(0, g->get<std::int64_t>());
    d.propagation = string_at(*options, {"propagationPolicy"});
    d.uid = string_at(*options, {"preconditions", "uid"});
    d.resource_version = string_at(*options, {"preconditions", "resourceVersion"});
  }
  context->subresource.clear();
  auto deleted = co_await call.s.objects->remove(*context, std::move(d));
  if (!deleted.ok()) { co_await send_error(call, deleted.error()); co_return; }
  co_await send_value(call, 201, success());
}

Awaitable<void> log(Call& call) {
  auto pod = co_await call.s.objects->get(call.resource, "v1", call.info.ns, call.info.name);
  if (!pod.ok()) { co_await send_error(call, pod.error()); co_return; }
  LogRequest q;
  q.ns = call.info.ns;
  q.pod = call.info.name;
  q.pod_uid = string_at(*pod, {"metadata", "uid"});
  q.node = string_at(*pod, {"spec", "nodeName"});
  q.container = call.query.get_or("container", "");
  std::vector<std::string> names;
  for (const char* kind : {"containers", "initContainers"})
    if (const Json* list = find(*pod, {"spec", kind}); list && list->is_array())
      for (const auto& c : *list) names.push_back(string_at(c, {"name"}));
  if (q.container.empty()) {
    std::size_t main = 0;
    if (const Json* list = find(*pod, {"spec", "containers"}); list && list->is_array()) main = list->size();
    if (main != 1) {
      auto chosen = string_at(*pod, {"metadata", "annotations", "kubectl.kubernetes.io/default-container"});
      if (chosen.empty()) {
        co_await send_error(call, bad_request(fmt::format("a container name must be specified for pod {}, choose one of: [{}]", q.pod, fmt::join(names, " "))));
        co_return;
      }
      q.container = chosen;
    } else {
      q.container = names.front();
    }
  } else if (std::find(names.begin(), names.end(), q.container) == names.end()) {
    co_await send_error(call, bad_request(fmt::format("container {} is not valid for pod {}", q.container, q.pod)));
    co_return;
  }
  if (q.node.empty()) {
    co_await send_error(call, bad_request(fmt::format("container \"{}\" in pod \"{}\" is waiting to start: the pod is not assigned to a node yet", q.container, q.pod)));
    co_return;
  }
  auto number = [&call](const char* key, std::int64_t fallback) {
    auto v = call.query.get_or(key, "");
    return v.empty() ? fallback : std::strtoll(v.c_str(), nullptr, 10);
  };
  q.follow = query_flag(call.query, "follow");
  q.previous = query_flag(call.query, "previous");
  q.timestamps = query_flag(call.query, "timestamps");
  q.tail_lines = number("tailLines", -1);
  q.limit_bytes = number("limitBytes", -1);
  auto unix_now = std::chrono::duration_cast<std::chrono::seconds>(call.s.clock().wall().time_since_epoch()).count();
  if (auto since = number("sinceSeconds", 0); since > 0) q.since_unix_seconds = unix_now - since;
  if (auto since = call.query.get("sinceTime"); since && !since->empty()) {
    auto t = parse_time(*since);
    if (!t.ok()) { co_await send_error(call, bad_request(fmt::format("sinceTime: {}", t.error().message))); co_return; }
    q.since_unix_seconds = std::chrono::duration_cast<std::chrono::seconds>(t->time_since_epoch()).count();
  }
  if (!call.s.options.pod_logs) { co_await send_error(call, unavailable("logs are not available from this server")); co_return; }

  auto& response = call.response;
  struct Writer {
    static Awaitable<bool> write(net::ResponseStream* response, std::string piece) {
      if (!response->started()) {
        net::Headers h{{"Content-Type", "text/plain"}, {"Cache-Control", "no-cache, private"}};
        auto begun = co_await response->begin(200, std::move(h));
        if (!begun.ok()) co_return false;
      }
      if (piece.empty()) co_return true;
      auto wrote = co_await response->write(piece);
      co_return wrote.ok();
    }
  };
  auto* out = &response;
  LogWriter writer = [out](std::string piece) { return Writer::write(out, std::move(piece)); };
  auto result = co_await call.s.options.pod_logs(std::move(q), std::move(writer), call.request.closed);
  if (!result.ok() && !response.started()) { co_await send_error(call, result.error()); co_return; }
  if (!response.started()) { co_await send_text(call, 200, ""); co_return; }
  auto finished = co_await response.finish();
  (void)finished;
}

}  // namespace

Awaitable<void> handle_pod_subresource(Call& call) {
  const auto& sub = call.info.subresource;
  const auto& m = call.request.method;
  if (sub == "exec" || sub == "attach" || sub == "portforward") {
    co_await send_error(call, bad_request(fmt::format(
        "{} into pods is not offered here: pods run instances only; use `virtctl console`, `virtctl vnc` or `virtctl port-forward`", sub)));
    co_return;
  }
  if (sub == "log") {
    if (m == "GET") co_await log(call);
    else co_await send_error(call, method_not_allowed());
    co_return;
  }
  if (sub == "ephemeralcontainers") { co_await send_error(call, method_not_allowed("ephemeral containers are not supported")); co_return; }
  if (m != "POST") { co_await send_error(call, method_not_allowed()); co_return; }
  if (sub == "binding") co_await bind(call);
  else co_await evict(call);
}

}  // namespace nodevirt::apiserver
