// The phase of an instance from its domain, its launcher and its pod.
#include <fmt/format.h>

#include "virt-handler/instances/status.hpp"

namespace nodevirt::virt_handler {
namespace {

PhaseOutcome phase_of_ended_domain(const launcher::v1::DomainState& domain, const std::string& why) {
  std::string tail = why.empty() ? std::string() : ": " + why;
  const std::string& reason = domain.reason();
  if (domain.state() == "Crashed" || reason == "Crashed" || reason == "Panicked")
    return reason == "Panicked" ? PhaseOutcome{"Failed", "GuestPanicked", "the guest crashed: its kernel panicked, as the panic device tells"}
                                : PhaseOutcome{"Failed", "GuestCrashed", "the guest crashed" + tail};
  if (reason == "Shutdown" || reason == "Saved") return {"Succeeded", "", "the guest powered off"};
  if (reason == "Destroyed") {
    if (domain.shutdown_requested())
      return {"Failed", "GracePeriodExceeded", "the guest did not power off in time and was cut off"};
    return {"Succeeded", "", "the guest was switched off"};
  }
  if (reason == "Migrated") return {"", "", ""};
  return {"Failed", "DomainFailed", "the guest's process ended" + tail};
}

PhaseOutcome phase_without_pod(const StatusInput& in) {
  const Observation& seen = in.seen;
  if (seen.domain && has_ended(*seen.domain, true)) return phase_of_ended_domain(*seen.domain, seen.domain_message);
  if (seen.pod_phase == "Succeeded") return {"Succeeded", "", "the launcher pod ended"};
  if (seen.vmi->deleting() && seen.vmi->status.phase == "Scheduled") return {"Succeeded", "", "stopped before the guest was started"};
  if (seen.pod_phase == "Failed") return {"Failed", "PodFailed", "the launcher pod failed"};
  return {"Failed", "PodGone", "the launcher pod is gone"};
}

}  // namespace

PhaseOutcome next_phase(const StatusInput& in) {
  const Observation& seen = in.seen;
  const std::string& old = seen.vmi->status.phase;
  PhaseOutcome same{old, in.object.contains("status") ? string_at(in.object, {"status", "reason"}) : "", ""};
  if (old != "Scheduled" && old != "Running") return same;
  if (seen.migrating) return same;
  if (in.pod_confirmed_gone) return phase_without_pod(in);
  if (!seen.pod_found) return same;

  const launcher::v1::DomainState* domain = seen.domain;
  if (domain && is_active(*domain)) {
    if (!seen.connected && seen.pod_phase != "Running" && (seen.pod_phase == "Succeeded" || seen.pod_phase == "Failed"))
      return phase_without_pod(in);
    if (domain->state() == "Paused" && domain->reason() == "StartingUp" && old == "Scheduled") return same;
    if (!seen.connected && seen.unreachable_for >= kUnreachableLimit)
      return {"Failed", "LauncherUnresponsive", "the launcher does not answer any more"};
    return {"Running", "", ""};
  }
  if (domain && has_ended(*domain, old == "Running")) {
    PhaseOutcome ended = phase_of_ended_domain(*domain, seen.domain_message);
    return ended.phase.empty() ? same : ended;
  }
  if (seen.pod_phase == "Succeeded" || seen.pod_phase == "Failed") return phase_without_pod(in);
  if (seen.vmi->deleting() && old == "Scheduled" && seen.connected) return {"Succeeded", "", "stopped before the guest was started"};
  if (in.sync_error && in.sync_error->reason == "GuestEnded") return {"Failed", "DomainGone", "the guest has ended"};
  if (seen.connected && domain && old == "Running" && seen.absent_for >= kUnreachableLimit) return {"Failed", "DomainGone", "the guest's process is gone"};
  if (!seen.connected && seen.unreachable_for >= kUnreachableLimit)
    return {"Failed", "LauncherUnresponsive", "the launcher does not answer"};
  return same;
}

}  // namespace nodevirt::virt_handler
