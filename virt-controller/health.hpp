// /healthz, /readyz and /metrics over plain HTTP.
#pragma once
#include "virt-controller/controllers.hpp"

namespace nodevirt::virt_controller {

/// Ready when every cache is complete, leading or not.
Awaitable<void> serve_health(Executor executor, const Controllers& controllers, Options options, StopToken stop);
/// In Prometheus' text format, with KubeVirt's names.
std::string metrics(const Controllers& controllers);

}  // namespace nodevirt::virt_controller
