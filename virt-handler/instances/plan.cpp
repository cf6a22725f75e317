#include "virt-handler/instances/plan.hpp"

namespace nodevirt::virt_handler {
namespace {

Clock::WallTime kill_time(const api::Instance& vmi, Clock::WallTime now) {
  Clock::WallTime asked = now;
  if (auto parsed = parse_time(vmi.metadata.deletion_timestamp); parsed.ok()) asked = *parsed;
  std::int64_t grace = vmi.spec.termination_grace_period_seconds.value_or(kDefaultGraceSeconds);
  return asked + std::chrono::seconds(std::clamp<std::int64_t>(grace, 0, 10LL * 365 * 86400));
}

Plan take_down(const Observation& seen) {
  Clock::WallTime deadline = kill_time(*seen.vmi, seen.now);
  bool at_once = seen.vmi->spec.termination_grace_period_seconds.value_or(kDefaultGraceSeconds) <= 0;
  if (at_once || seen.now >= deadline) return {Step::Kill, {}};
  Clock::Duration left = deadline - seen.now;
  if (!seen.domain->shutdown_requested()) return {Step::Shutdown, left};
  return {Step::None, left};
}

Plan plan_unreachable(const Observation& seen) {
  if (seen.vmi->final_phase()) return {};
  if (seen.unreachable_for >= kUnreachableLimit) return {};
  return {Step::None, kUnreachableLimit - seen.unreachable_for};
}

}  // namespace

bool is_active(const launcher::v1::DomainState& domain) {
  return domain.present() && domain.state() != "Shutoff" && domain.state() != "Crashed" && !domain.state().empty();
}

bool has_ended(const launcher::v1::DomainState& domain, bool ran) {
  if (!domain.present() || is_active(domain)) return false;
  if (ran || domain.state() == "Crashed") return true;
  return domain.reason() == "Shutdown" || domain.reason() == "Destroyed" || domain.reason() == "Crashed" ||
         domain.reason() == "Panicked" || domain.reason() == "Saved";
}

Plan plan(const Observation& seen) {
  const api::Instance& vmi = *seen.vmi;
  bool ours = vmi.status.phase == "Scheduled" || vmi.status.phase == "Running" || vmi.final_phase();
  if (!ours || seen.migrating) return {};
  if (!seen.pod_found) return vmi.final_phase() ? Plan{} : Plan{Step::ConfirmPodGone, {}};
  if (!seen.connected || !seen.domain) return plan_unreachable(seen);

  if (vmi.final_phase()) {
    if (is_active(*seen.domain)) return {Step::Kill, {}};
    return seen.domain->present() ? Plan{Step::Undefine, {}} : Plan{};
  }
  if (is_active(*seen.domain)) {
    if (vmi.deleting()) return take_down(seen);
    if (seen.pod_deleting && !seen.domain->shutdown_requested()) return {Step::Shutdown, {}};
    return {};
  }
  // libvirt may only be away for a moment: nothing is over because it shows nothing.
  if (vmi.status.phase == "Running" && !seen.domain->present() && seen.absent_for < kUnreachableLimit)
    return {Step::None, kUnreachableLimit - seen.absent_for};
  if (vmi.deleting() || seen.pod_deleting || vmi.status.phase == "Running" || has_ended(*seen.domain, false)) return {};
  switch (seen.network) {
    case NetworkState::Pending: return {};
    case NetworkState::Failed: return {Step::PrepareNetwork, {}};
    case NetworkState::Ready: return {Step::Sync, {}};
  }
  return {};
}

}  // namespace nodevirt::virt_handler
