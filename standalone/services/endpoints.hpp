// Which pods stand behind a Service: Endpoints and EndpointSlices as Kubernetes writes them. Pure.
#pragma once
#include <memory>

#include "standalone/services/views.hpp"

namespace nodevirt::services {

using Pods = std::vector<std::shared_ptr<const BackendPod>>;

/// The Endpoints object of a Service with a selector: ready addresses apart from the others, one subset per
/// set of ports. Pods that ended or have no address are left out.
Json endpoints_object(const ServiceView& service, const Pods& pods);

/// Its EndpointSlices, at most 100 endpoints each; pods that are being deleted stay, as terminating. Names are
/// derived from the Service's uid, so that they stay the same.
std::vector<Json> slice_objects(const ServiceView& service, const Pods& pods);

/// Whether an object says what `wanted` says, metadata kept by others aside.
bool says_the_same(const Json& current, const Json& wanted);

}  // namespace nodevirt::services
