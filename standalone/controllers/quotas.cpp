#include "standalone/controllers/quotas.hpp"

#include "standalone/apiserver/admission/quota.hpp"
#include "standalone/apiserver/objects.hpp"

namespace nodevirt::controllers {

namespace {
const std::string kQuotas = "resourcequotas";
}

void QuotaStatus::resync() {
  each_object(s_, kQuotas, "", [this](const StoredPtr& o) { enqueue(o->key()); });
}

void QuotaStatus::on_event(const Event& event) {
  if (event.resource == kQuotas) {
    if (event.type != EventType::Deleted) enqueue(event.object->key());
    return;
  }
  if (event.object->ns.empty() || event.resource == "events" || event.resource == "leases.coordination.k8s.io") return;
  each_object(s_, kQuotas, event.object->ns, [this](const StoredPtr& o) { enqueue(o->key()); });
}

Awaitable<Result<void>> QuotaStatus::reconcile(std::string key) {
  auto slash = key.find('/');
  auto ns = key.substr(0, slash), name = key.substr(slash + 1);
  auto& s = s_;
  std::function<Result<bool>(Json&)> change = [&s, ns](Json& o) -> Result<bool> {
    const Json spec = o.value("spec", Json::object());
    Json hard = spec.value("hard", Json::object());
    Json used = apiserver::quota_usage(*s.store, ns, spec);
    Json status{{"hard", hard}, {"used", used}};
    if (o.contains("status") && o["status"] == status) return false;
    o["status"] = std::move(status);
    return true;
  };
  auto resource = s_.registry.by_id(kQuotas);
  auto done = co_await s_.objects->modify(resource, ns, name, std::move(change));
  if (!done.ok() && done.error().reason != "NotFound") co_return Error(done.error());
  co_return Result<void>();
}

}  // namespace nodevirt::controllers
