// The objects by which an API server comes to know virt-api. Pure.
#pragma once
#include <string>
#include <vector>

#include "pkg/base/json.hpp"
#include "pkg/k8s/resource.hpp"

namespace nodevirt::virt_api {

struct Registration {
  k8s::Resource resource;
  std::string name;
  Json object;           ///< whole; or a merge patch of an object that must be there already
  bool must_exist = false;
};

/// Webhook configurations, APIServices and the CRDs' conversion, all naming the Service virt-api in the
/// namespace kubevirt, verified against `ca_pem`.
std::vector<Registration> registrations(const std::string& ca_pem);

/// True when `now` has everything that the merge patch `wanted` asks for.
bool already_there(const Json& now, const Json& wanted);

}  // namespace nodevirt::virt_api
