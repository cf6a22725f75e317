#include "virt-controller/fence/fences.hpp"

#include <map>

#include "api/fence.hpp"
#include "api/names.hpp"
#include "pkg/k8s/status.hpp"

namespace nodevirt::virt_controller::fence {

Fences::Fences(client::Client client, Clock& clock, LeaseInformer& leases) : client_(std::move(client)), clock_(clock) {
  leases.on_change([this](const LeaseInformer::Ptr& old, const LeaseInformer::Ptr& now) {
    std::string node = api::fence_lease_node((now ? now : old)->meta.name);
    if (node.empty()) return;
    if (!now) {
      by_node_.erase(node);
      return;
    }
    Renewal& known = by_node_[node];
    if (known.version == now->meta.resource_version) return;
    bool others = known.entries != now->fences;
    known = {now->meta.resource_version, clock_.now(), now->fences};
    if (others && changed_) changed_(node);
  });
}

void Fences::on_change(std::function<void(const std::string& node)> changed) { changed_ = std::move(changed); }

std::optional<Clock::Duration> Fences::time_left(const std::vector<PodInformer::Ptr>& pods) const {
  std::optional<Clock::Duration> longest;
  for (const auto& pod : pods) {
    if (pod->ended()) continue;
    auto known = by_node_.find(pod->node);
    if (known == by_node_.end()) return std::nullopt;
    auto left = fence::time_left(known->second, pod->meta.uid, clock_.now());
    if (!left) return std::nullopt;
    longest = std::max(longest.value_or(Clock::Duration::zero()), *left);
  }
  return longest;
}

Awaitable<Result<bool>> Fences::confirm_unarmed(std::vector<PodInformer::Ptr> pods) {
  for (const auto& pod : pods) {
    if (pod->ended()) continue;
    std::string ns(api::kSystemNamespace), name = api::fence_lease_name(pod->node);
    auto lease = co_await client_.get(k8s::resources::kLeases, ns, name);
    if (!lease.ok() && k8s::is_not_found(lease.error())) continue;
    if (!lease.ok()) co_return lease.error().with_context("look at the fence of node " + pod->node);
    if (api::fence_entries(runtime::ObjectMeta::from_json(*lease).annotations).contains(pod->meta.uid)) co_return false;
  }
  co_return true;
}

Awaitable<Result<bool>> Fences::confirm(std::vector<PodInformer::Ptr> pods) {
  auto left = time_left(pods);
  if (!left || *left > Clock::Duration::zero()) co_return false;
  std::map<std::string, std::string> versions;
  for (const auto& pod : pods)
    if (!pod->ended()) versions[pod->node] = by_node_[pod->node].version;
  for (const auto& [node, version] : versions) {
    std::string ns(api::kSystemNamespace), name = api::fence_lease_name(node);
    auto lease = co_await client_.get(k8s::resources::kLeases, ns, name);
    if (!lease.ok() && k8s::is_not_found(lease.error())) co_return false;
    if (!lease.ok()) co_return lease.error().with_context("look at the fence of node " + node);
    if (string_at(*lease, {"metadata", "resourceVersion"}) != version) co_return false;  // the watch brings it
  }
  co_return true;
}

}  // namespace nodevirt::virt_controller::fence
