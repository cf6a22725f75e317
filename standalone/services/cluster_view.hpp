// The one copy of Services and EndpointSlices that proxy and resolver of a node share.
#pragma once
#include <functional>
#include <memory>

#include "standalone/services/views.hpp"

namespace nodevirt::services {

class ClusterView {
 public:
  ClusterView(Executor executor, client::Client client, Clock& clock);
  /// Until stopped.
  Awaitable<void> run(StopToken stop);
  Awaitable<bool> synced(StopToken stop);
  /// Called after every change, on the executor.
  void on_change(std::function<void()> handler) { handlers_.push_back(std::move(handler)); }

  std::vector<std::shared_ptr<const ServiceView>> services() const { return services_.list(); }
  std::shared_ptr<const ServiceView> service(const std::string& ns, const std::string& name) const { return services_.get(ns + "/" + name); }
  std::vector<std::shared_ptr<const SliceView>> slices(const std::string& ns, const std::string& service) const {
    return slices_.by_index("service", ns + "/" + service);
  }
  std::vector<std::shared_ptr<const ServiceView>> services_at(const std::string& address) const { return services_.by_index("address", address); }
  std::vector<std::shared_ptr<const SliceView>> slices_at(const std::string& address) const { return slices_.by_index("address", address); }

 private:
  void changed();

  Executor executor_;
  runtime::Informer<ServiceView> services_;
  runtime::Informer<SliceView> slices_;
  std::vector<std::function<void()>> handlers_;
};

}  // namespace nodevirt::services
