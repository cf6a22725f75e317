// Keeps Endpoints and EndpointSlices of Services with selectors.
#pragma once
#include <memory>

#include "pkg/base/clock.hpp"
#include "pkg/client/client.hpp"

namespace nodevirt::services {

/// Guarantees: after any change of a Service or a pod both objects follow, whoever was there first; objects of
/// Services without a selector are left alone; those of a Service that is gone are removed.
class EndpointsController {
 public:
  EndpointsController(Executor executor, client::Client client, Clock& clock);
  ~EndpointsController();
  Awaitable<void> run(StopToken stop);

 private:
  struct Impl;
  std::shared_ptr<Impl> impl_;
};

}  // namespace nodevirt::services
