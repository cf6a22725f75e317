// Observations as tables write them.
#pragma once
#include "virt-handler/instances/plan.hpp"

namespace nodevirt::virt_handler::test {

inline api::Instance instance(std::string phase, bool deleting = false, std::optional<std::int64_t> grace = 30) {
  api::Instance out;
  out.metadata.name = "vm1";
  out.metadata.namespace_ = "default";
  out.metadata.uid = "11111111-2222-3333-4444-555555555555";
  if (deleting) out.metadata.deletion_timestamp = "2026-01-01T00:00:00Z";
  out.spec.termination_grace_period_seconds = grace;
  out.status.phase = std::move(phase);
  out.status.node_name = "node1";
  return out;
}

inline launcher::v1::DomainState domain(std::string state, std::string reason = "", bool shutdown_requested = false) {
  launcher::v1::DomainState out;
  out.set_present(!state.empty());
  out.set_state(state.empty() ? "NoState" : state);
  out.set_reason(reason);
  out.set_shutdown_requested(shutdown_requested);
  return out;
}

/// A pod that runs, with a launcher that answers and a network that is ready, 10 s after the epoch of 2026.
inline Observation healthy(const api::Instance& vmi, const launcher::v1::DomainState* state) {
  Observation out;
  out.vmi = &vmi;
  out.pod_found = out.connected = true;
  out.pod_phase = "Running";
  out.pod_uid = "pod-uid";
  out.pod_ip = "10.244.0.5";
  out.network = NetworkState::Ready;
  out.domain = state;
  out.now = *parse_time("2026-01-01T00:00:10Z");
  return out;
}

}  // namespace nodevirt::virt_handler::test
