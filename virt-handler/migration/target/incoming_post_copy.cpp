// A guest that runs here while a part of its memory is still at the source: whether it is lost.
#include "pkg/base/log.hpp"
#include "virt-handler/migration/other_half.hpp"
#include "virt-handler/migration/target/incoming_impl.hpp"

namespace nodevirt::virt_handler::migration {

/// Nothing to be seen of it for so long.
constexpr Clock::Duration kNoGuest = 20s;
/// So long it stands and waits for the memory that a broken link keeps from it.
constexpr Clock::Duration kWaitForLink = 120s;
/// The source is looked at so often meanwhile, and not at once: most often it is back first.
constexpr Clock::Duration kLookAtSource = 5s, kFirstLook = 2s;

void Incoming::Impl::lose(std::string why) {
  if (handover.guest_lost()) return;
  handover.lost();
  loss = std::move(why);
  log::warning("{}/{}: migration {}: {}", ns, name, id, loss);
}

/// In post-copy: it may end here, or what it lacks may be lost at the source. One whose memory does not come stands still
/// (libvirt calls it running); with the link back it goes on.
void Incoming::Impl::look_whether_it_is_lost(const std::shared_ptr<Launcher>& launcher) {
  if (!handover.fetches() || state.finished()) return;
  Clock::Time now = deps.clock.now();
  const launcher::v1::DomainState* domain = launcher && launcher->domain ? &*launcher->domain : nullptr;
  std::string half = fmt::format("while a part of its memory was still on node {}", state.source_node);
  if (domain && has_ended(*domain, true)) {
    if (domain->reason() == "Shutdown" || domain->reason() == "Destroyed") return handover.ended();
    return lose(fmt::format("the guest is lost: it ended on node {} ({}) {}", deps.node, domain->reason(), half));
  }
  bool pod_ended = launcher && (launcher->pod_gone || launcher->pod->ended());
  bool seen = domain && domain->present();
  if (seen || (launcher && !launcher->connected && !pod_ended)) no_guest_since.reset();
  else if (!no_guest_since) no_guest_since = now;
  if (pod_ended || (no_guest_since && now - *no_guest_since >= kNoGuest))
    return lose(fmt::format("the guest is lost: its pod on node {} ended {}", deps.node, half));

  // Libvirt knows nothing of a link that is only silent, and may wait for QEMU when it broke.
  NodePort::Flow flow = deps.port.flow(id, Channel::Memory);
  bool interrupted = flow == NodePort::Flow::Silent || (listens_again && flow == NodePort::Flow::None);
  if (!seen || (domain->reason() != "PostcopyFailed" && !interrupted)) return broken_since.reset();
  if (!broken_since) {
    broken_since = now;
    log::warning("{}/{}: migration {}: the guest stands still until the rest of its memory comes from node {}", ns, name, id, state.source_node);
  }
  if (handover.nothing_more_comes())
    return lose(fmt::format("the guest is lost: it ran on node {} while a part of its memory was still on node {}, which lost it", deps.node, state.source_node));
  if (now - *broken_since >= kWaitForLink)
    return lose(fmt::format("the guest is lost: it ran on node {} while a part of its memory was still on node {}, which could not be reached for {} s",
                            deps.node, state.source_node, std::chrono::duration_cast<std::chrono::seconds>(kWaitForLink).count()));
  if (now - *broken_since >= kFirstLook && (!looked_at || now - *looked_at >= kLookAtSource)) {
    looked_at = now;
    spawn(deps.executor, look_at_source(), "migration: look at the source");
  }
}

Awaitable<void> Incoming::Impl::look_at_source() {
  auto self = shared_from_this();
  auto why = co_await why_gone(deps.client, ns, state.source_pod, state.source_node, deps.clock.wall());
  if (!why.ok() || why->empty() || !handover.fetches() || state.finished() || !broken_since) co_return;
  lose(fmt::format("the guest is lost: it ran on node {} while a part of its memory was still on node {}, {}", deps.node, state.source_node, *why));
  poke();
}

}  // namespace nodevirt::virt_handler::migration
