// What the source's half of the handover wants, done: each deed tells the handover what became of it.
#include "pkg/base/failpoint.hpp"
#include "pkg/base/log.hpp"
#include "virt-handler/migration/source/outgoing_impl.hpp"

namespace nodevirt::virt_handler::migration {

NV_DECLARE_FAILPOINT(kBeforeRelease, "virt-handler.migration-before-release");
NV_DECLARE_FAILPOINT(kAfterRelease, "virt-handler.migration-after-release");
NV_DECLARE_FAILPOINT(kBeforeSourceStore, "virt-handler.migration-before-source-store");
NV_DECLARE_FAILPOINT(kAfterSourceStore, "virt-handler.migration-after-source-store");

/// How things stand now that nothing of an earlier life can be under way any more.
Awaitable<void> Outgoing::Impl::ask_again() {
  auto self = shared_from_this();
  MigrationRpc rpc = rpc_of(find_launcher()());
  if (!rpc) co_return;
  launcher::v1::WatchMigrationRequest watch;
  watch.set_migration_uid(id);
  auto stream = rpc->watch_migration(watch);
  auto event = co_await stream->next();
  if (!event.ok()) co_return;
  told(*event, true);
  handover.old_calls_ended();
  poke();
}

/// After the job a guest that runs stays: no release can take it any more.
Awaitable<void> Outgoing::Impl::see_whether_it_runs() {
  auto self = shared_from_this();
  MigrationRpc rpc = rpc_of(find_launcher()());
  if (!rpc) co_return;
  launcher::v1::DomainRequest ask = domain();
  auto now = co_await rpc.client->get_domain(ask);
  if (!now.ok() || now->state() != "Running") co_return;
  give_up("virt-handler was restarted");
  handover.resumed();
  poke();
}

Awaitable<void> Outgoing::Impl::note(Note wanted) {
  auto self = shared_from_this();
  Journal* where = &journal;
  std::string migration = id;
  auto work = [where, migration, wanted] { return where->write(migration, wanted); };
  auto written = co_await blocking(work);
  noting = false;
  // Without it only a restart in the very moment could be mistaken; a guest that stands still is worse.
  if (!written.ok()) log::error("{}/{}: migration {}: {}", ns, name, id, written.error().message);
  handover.note_written(wanted);
  poke();
}

Awaitable<void> Outgoing::Impl::release() {
  auto self = shared_from_this();
  StopToken token = stop.get_token();
  Clock::Duration pause = 100ms;
  std::optional<bool> answer;
  if (MigrationRpc rpc = rpc_of(find_launcher()())) {
    NV_FAILPOINT(kBeforeRelease);
    launcher::v1::MigrationRequest ask = request();
    auto released = co_await rpc->release_source(ask);
    NV_FAILPOINT(kAfterRelease);
    if (released.ok()) {
      answer = released->released();
      guest_was_paused = guest_was_paused || released->guest_was_paused();
      log::info("{}/{}: migration {}: the source is {}{}", ns, name, id, *answer ? "released" : "kept: ", released->why_kept());
      if (!*answer) give_up("the guest went on at the source: " + released->why_kept());
    } else {
      if (released.error().reason == "NotYet") pause = 5ms;
      else log::warning("{}/{}: migration {}: {}", ns, name, id, released.error().message);
    }
  }
  if (!answer) co_await deps.clock.sleep(pause, token);
  releasing = false;
  handover.release_answered(answer);
  poke();
}

/// Ends the job; or, after it, lets a guest go on that it has left standing.
Awaitable<void> Outgoing::Impl::cancel_job() {
  auto self = shared_from_this();
  StopToken token = stop.get_token();
  if (MigrationRpc rpc = rpc_of(find_launcher()())) {
    launcher::v1::MigrationRequest ask = request();
    auto cancelled_now = co_await rpc->cancel(ask);
    if (!cancelled_now.ok()) {
      log::warning("{}/{}: migration {}: {}", ns, name, id, cancelled_now.error().message);
      handover.cancel_failed();
    }
  } else {
    handover.cancel_failed();
  }
  co_await deps.clock.sleep(500ms, token);
  cancelling = false;
  poke();
}

void Outgoing::Impl::before_store() { NV_FAILPOINT(kBeforeSourceStore); }
void Outgoing::Impl::after_store() { NV_FAILPOINT(kAfterSourceStore); }

}  // namespace nodevirt::virt_handler::migration
