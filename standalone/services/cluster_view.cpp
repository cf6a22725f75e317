#include "standalone/services/cluster_view.hpp"

namespace nodevirt::services {

ClusterView::ClusterView(Executor executor, client::Client client, Clock& clock)
    : executor_(std::move(executor)), services_(client, clock, {.resource = k8s::resources::kServices}),
      slices_(client, clock, {.resource = k8s::resources::kEndpointSlices}) {
  services_.add_index("address", [](const ServiceView& s) {
    return s.cluster_ip.empty() ? std::vector<std::string>{} : std::vector<std::string>{s.cluster_ip};
  });
  slices_.add_index("service", [](const SliceView& s) { return std::vector<std::string>{s.meta.ns + "/" + s.service}; });
  slices_.add_index("address", [](const SliceView& s) {
    std::vector<std::string> out;
    for (const Endpoint& e : s.endpoints) out.push_back(e.address);
    return out;
  });
  services_.on_change([this](const auto&, const auto&) { changed(); });
  slices_.on_change([this](const auto&, const auto&) { changed(); });
}

void ClusterView::changed() {
  for (const auto& h : handlers_) h();
}

Awaitable<void> ClusterView::run(StopToken stop) {
  spawn(executor_, slices_.run(stop), "cluster view slices");
  co_await services_.run(stop);
}

Awaitable<bool> ClusterView::synced(StopToken stop) {
  const bool services = co_await services_.synced(stop);
  if (!services) co_return false;
  const bool slices = co_await slices_.synced(stop);
  co_return slices;
}

}  // namespace nodevirt::services
