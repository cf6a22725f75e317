#include "standalone/controllers/aggregated_roles.hpp"

#include <algorithm>

#include "standalone/apiserver/auth/authorizer.hpp"
#include "standalone/apiserver/objects.hpp"

namespace nodevirt::controllers {

namespace {
const std::string kRoles = "clusterroles.rbac.authorization.k8s.io";
}

void AggregatedRoles::resync() {
  each_object(s_, kRoles, "", [this](const StoredPtr& o) {
    auto text = s_.store->text(kRoles, o);
    if (text.ok() && (*text)->find("\"clusterRoleSelectors\"") != std::string::npos) enqueue(o->name);
  });
}

void AggregatedRoles::on_event(const Event&) { resync(); }

Awaitable<Result<void>> AggregatedRoles::reconcile(std::string name) {
  auto resource = s_.registry.by_id(kRoles);
  auto rules = s_.authorizer->rules_of_role("ClusterRole", "", name);
  Json list = Json::array();
  for (const auto& r : rules)
    if (auto one = r.to_json(); std::find(list.begin(), list.end(), one) == list.end()) list.push_back(std::move(one));
  std::function<Result<bool>(Json&)> change = [&list](Json& o) -> Result<bool> {
    if (!o.contains("aggregationRule")) return false;
    if (o.value("rules", Json()) == list) return false;
    o["rules"] = list;
    return true;
  };
  auto done = co_await s_.objects->modify(resource, "", name, std::move(change));
  if (!done.ok() && done.error().reason != "NotFound") co_return Error(done.error());
  co_return Result<void>();
}

}  // namespace nodevirt::controllers
