// In post-copy the guest runs at the target, and what it lacks of its memory is here: the way to it is kept open, and it is
// seen when either half is gone for good.
#include "pkg/base/log.hpp"
#include "virt-handler/migration/other_half.hpp"
#include "virt-handler/migration/source/outgoing_impl.hpp"

namespace nodevirt::virt_handler::migration {

/// Pods are not known at once after a start of this program.
constexpr Clock::Duration kNoPod = 20s;
/// The target's virt-handler is the one to conclude; from here on it is looked whether it still can.
constexpr Clock::Duration kTargetSilent = 60s;

void Outgoing::Impl::attend_post_copy(const std::shared_ptr<Launcher>& launcher) {
  if ((!post_copy && state.mode != "PostCopy") || state.finished()) return;
  Clock::Time now = deps.clock.now();
  if (launcher) no_pod_since.reset();
  else if (!no_pod_since) no_pod_since = now;
  bool pod_ended = launcher ? launcher->pod_gone || launcher->pod->ended() : now - *no_pod_since >= kNoPod;
  if (pod_ended && !job_ended) {
    give_up("the source's pod ended in post-copy");
    job_ended = true;
    handover.ended(false);
  }
  if (!pod_ended && launcher && !state.target_address.empty()) keep_way_open(*launcher);

  bool broken = pod_ended || job_ended || (launcher && launcher->domain && launcher->domain->reason() == "PostcopyFailed");
  if (!broken) broken_since.reset();
  else if (!broken_since) broken_since = now;
  bool due = broken_since && now - *broken_since >= kTargetSilent && (!looked_at || now - *looked_at >= 5s);
  if (due && target_gone.empty()) {
    looked_at = now;
    spawn(deps.executor, look_at_target(), "migration: look at the target");
  }
  if (target_gone.empty() || std::exchange(storing, true)) return;
  std::string migration = id;
  std::string why = fmt::format("the guest is lost: it ran on node {}, {}, while a part of its memory was still on node {}", state.target_node, target_gone, deps.node);
  Clock::WallTime at = deps.clock.wall();
  MakePatch make = [migration, why, at](const Json& vmi) { return lost_patch(vmi, migration, why, at); };
  spawn(deps.executor, store(make), "migration: store");
}

/// Sockets of an earlier life went with it, and the target's virt-handler may have another address than before.
void Outgoing::Impl::keep_way_open(const Launcher& launcher) {
  if (sockets) return sockets->keep_trying(state.target_address);
  std::weak_ptr<Impl> weak = weak_from_this();
  PodSockets::Deps streams{.executor = deps.executor, .tls = deps.tls, .folder = deps.launchers.empty_dir(*launcher.pod, "migration"),
                           .launcher_uid = deps.launcher_uid, .migration = id, .instance = instance, .target_node = state.target_node,
                           .address = state.target_address, .plain_token = {}};
  streams.failed = [weak](Error error) {
    if (auto impl = weak.lock()) log::debug("{}/{}: migration {}: {}", impl->ns, impl->name, impl->id, error.message);
  };
  sockets = std::make_unique<PodSockets>(std::move(streams));
  sockets->keep_trying(state.target_address);
  auto listening = sockets->listen(PodSockets::Names{});
  if (!listening.ok()) {
    log::warning("{}/{}: migration {}: {}", ns, name, id, listening.error().message);
    return sockets.reset();
  }
  log::info("{}/{}: migration {}: the way to the target is open again", ns, name, id);
}

Awaitable<void> Outgoing::Impl::look_at_target() {
  auto self = shared_from_this();
  auto why = co_await why_gone(deps.client, ns, state.target_pod, state.target_node, deps.clock.wall());
  if (!why.ok() || why->empty()) co_return;
  target_gone = *why;
  poke();
}

}  // namespace nodevirt::virt_handler::migration
