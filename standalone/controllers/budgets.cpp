#include "standalone/controllers/budgets.hpp"

#include <cmath>

#include <fmt/format.h>

#include "pkg/k8s/selector.hpp"
#include "standalone/apiserver/crd/definition.hpp"
#include "standalone/apiserver/objects.hpp"

namespace nodevirt::controllers {

namespace {

const std::string kBudgets = "poddisruptionbudgets.policy";

/// An int or "50%" of `total`, rounded up.
std::int64_t scaled(const Json& v, std::int64_t total) {
  if (v.is_number_integer()) return v.get<std::int64_t>();
  if (!v.is_string()) return 0;
  const auto& text = v.get_ref<const std::string&>();
  auto percent = std::strtoll(text.c_str(), nullptr, 10);
  return text.ends_with('%') ? (percent * total + 99) / 100 : percent;
}

bool healthy(const Json& pod) {
  if (find(pod, {"metadata", "deletionTimestamp"})) return false;
  if (const Json* list = find(pod, {"status", "conditions"}); list && list->is_array())
    for (const auto& c : *list) if (string_at(c, {"type"}) == "Ready") return string_at(c, {"status"}) == "True";
  return false;
}

}  // namespace

Json budget_status(const Json& budget, const std::vector<Json>& pods, Clock::WallTime now) {
  std::int64_t expected = 0, current = 0;
  Json disrupted = Json::object();
  const Json* before = find(budget, {"status", "disruptedPods"});
  for (const auto& pod : pods) {
    auto phase = string_at(pod, {"status", "phase"});
    if (phase == "Succeeded" || phase == "Failed") continue;
    ++expected;
    auto name = string_at(pod, {"metadata", "name"});
    if (before && before->is_object() && before->contains(name) && !find(pod, {"metadata", "deletionTimestamp"})) {
      auto since = parse_time(string_at(*before, {name}));
      if (since.ok() && now - *since < std::chrono::minutes(2)) {   // an eviction was granted and is on its way
        disrupted[name] = (*before)[name];
        continue;
      }
    }
    if (healthy(pod)) ++current;
  }
  std::int64_t desired = 0;
  if (const Json* max = find(budget, {"spec", "maxUnavailable"})) desired = std::max<std::int64_t>(0, expected - scaled(*max, expected));
  else if (const Json* min = find(budget, {"spec", "minAvailable"})) desired = scaled(*min, expected);
  else desired = std::max<std::int64_t>(0, 1);
  auto allowed = expected > 0 ? std::max<std::int64_t>(0, current - desired) : 0;
  Json o = budget;
  auto& status = o["status"];
  if (!status.is_object()) status = Json::object();
  status["expectedPods"] = expected;
  status["currentHealthy"] = current;
  status["desiredHealthy"] = desired;
  status["disruptionsAllowed"] = allowed;
  status["observedGeneration"] = int_at(budget, {"metadata", "generation"});
  if (disrupted.empty()) status.erase("disruptedPods");
  else status["disruptedPods"] = std::move(disrupted);
  apiserver::set_condition(o, "DisruptionAllowed", allowed > 0 ? "True" : "False", allowed > 0 ? "SufficientPods" : "InsufficientPods", "", now);
  for (auto& c : o["status"]["conditions"])
    if (string_at(c, {"type"}) == "DisruptionAllowed") c["observedGeneration"] = int_at(budget, {"metadata", "generation"});
  return o["status"];
}

void Budgets::resync() {
  each_object(s_, kBudgets, "", [this](const StoredPtr& o) { enqueue(o->key()); });
}

void Budgets::on_event(const Event& event) {
  if (event.resource == kBudgets && event.type != EventType::Deleted) { enqueue(event.object->key()); return; }
  if (event.resource != "pods") return;
  each_object(s_, kBudgets, event.object->ns, [this](const StoredPtr& o) { enqueue(o->key()); });
}

Awaitable<Result<void>> Budgets::reconcile(std::string key) {
  auto slash = key.find('/');
  auto ns = key.substr(0, slash), name = key.substr(slash + 1);
  Json budget = load(s_, kBudgets, ns, name);
  if (budget.is_null()) co_return Result<void>();
  const Json* selector = find(budget, {"spec", "selector"});
  auto parsed = k8s::LabelSelector::from_json(selector ? *selector : Json());
  std::vector<Json> pods;
  if (parsed.ok())
    each_object(s_, "pods", ns, [&](const StoredPtr& o) {
      if (parsed->matches(o->index.labels)) pods.push_back(load(s_, "pods", ns, o->name));
    });
  auto now = s_.clock().wall();
  std::function<Result<bool>(Json&)> change = [&pods, now](Json& o) -> Result<bool> {
    Json status = budget_status(o, pods, now);
    if (o.contains("status") && o["status"] == status) return false;
    o["status"] = std::move(status);
    return true;
  };
  auto resource = s_.registry.by_id(kBudgets);
  auto done = co_await s_.objects->modify(resource, ns, name, std::move(change));
  if (!done.ok() && done.error().reason != "NotFound") co_return Error(done.error());
  if (done.ok() && find(*done, {"status", "disruptedPods"})) enqueue_after(key, std::chrono::minutes(2));
  co_return Result<void>();
}

}  // namespace nodevirt::controllers
