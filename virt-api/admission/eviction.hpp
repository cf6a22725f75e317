// Evictions of launcher pods: what becomes of the instance inside.
#pragma once
#include "pkg/client/client.hpp"
#include "virt-api/admission/review.hpp"

namespace nodevirt::virt_api {

/// Allowed unless the pod is a launcher whose instance asks to be moved or watched over first; then it is
/// refused, and the instance marked with status.evacuationNodeName.
Awaitable<AdmissionAnswer> admit_eviction(client::Client client, AdmissionRequest request);

/// The decision alone.
struct EvictionDecision {
  bool allowed = true;
  bool mark = false;        ///< set status.evacuationNodeName
  std::string message;
};
/// `fallback` is the strategy of instances that name none.
EvictionDecision decide_eviction(const Json& pod, const Json& vmi, const std::string& fallback = "None");

}  // namespace nodevirt::virt_api
