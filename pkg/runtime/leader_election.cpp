#include "pkg/runtime/leader_election.hpp"

#include "pkg/base/log.hpp"
#include "pkg/k8s/status.hpp"
#include "pkg/runtime/signal.hpp"

namespace nodevirt::runtime {

namespace {

using k8s::resources::kLeases;

struct Election {
  Election(client::Client c, Clock& k, LeaderElectionOptions o) : client(std::move(c)), clock(k), options(std::move(o)) {}

  client::Client client;
  Clock& clock;
  LeaderElectionOptions options;
  Json lease;                    ///< as last seen or written; null when unknown
  std::string observed;          ///< holder and renewTime, as text
  Clock::Time observed_at{};     ///< by our own clock: the holder's is not trusted
  StopSource leading;
  bool lead_ended = false;
  Gate gate;

  std::string holder() const { return string_at(lease, {"spec", "holderIdentity"}); }

  void observe(Json seen) {
    lease = std::move(seen);
    std::string record = holder() + " " + string_at(lease, {"spec", "renewTime"});
    if (record != observed || observed_at == Clock::Time{}) {
      observed = record;
      observed_at = clock.now();
    }
  }

  bool held_by_another() const {
    std::string who = holder();
    if (who.empty() || who == options.identity) return false;
    if (options.holder_is_gone && options.holder_is_gone(who)) return false;
    auto seconds = std::clamp<std::int64_t>(int_at(lease, {"spec", "leaseDurationSeconds"}, 15), 1, 3600);
    return clock.now() < observed_at + std::chrono::seconds(seconds);
  }

  Json spec(bool release) const {
    std::string now = format_micro_time(clock.wall());
    bool ours = holder() == options.identity;
    Json spec = {{"holderIdentity", release ? "" : options.identity},
                 {"leaseDurationSeconds",
                  release ? 1 : std::chrono::duration_cast<std::chrono::seconds>(options.lease).count()},
                 {"renewTime", now},
                 {"acquireTime", ours ? string_at(lease, {"spec", "acquireTime"}, now) : now},
                 {"leaseTransitions", int_at(lease, {"spec", "leaseTransitions"}) + (ours || lease.is_null() ? 0 : 1)}};
    return spec;
  }
};

using Ptr = std::shared_ptr<Election>;

// Takes or renews the lease. A write always carries the version that was seen.
Awaitable<Result<bool>> try_hold(Ptr e) {
  if (e->lease.is_null() || e->holder() != e->options.identity) {
    auto seen = co_await e->client.get(kLeases, e->options.ns, e->options.name);
    if (!seen.ok() && !k8s::is_not_found(seen.error())) co_return seen.error();
    if (!seen.ok()) {
      e->lease = nullptr;
      Json fresh = {{"apiVersion", "coordination.k8s.io/v1"}, {"kind", "Lease"},
                    {"metadata", {{"name", e->options.name}, {"namespace", e->options.ns}}}, {"spec", e->spec(false)}};
      auto made = co_await e->client.create(kLeases, e->options.ns, std::move(fresh));
      if (!made.ok()) {
        if (k8s::is_already_exists(made.error())) co_return false;
        co_return made.error();
      }
      e->observe(std::move(*made));
      co_return true;
    }
    e->observe(std::move(*seen));
    if (e->held_by_another()) co_return false;
  }
  Json next = e->lease;
  next["spec"] = e->spec(false);
  auto written = co_await e->client.replace(kLeases, e->options.ns, e->options.name, std::move(next));
  if (!written.ok()) {
    if (k8s::is_conflict(written.error()) || k8s::is_not_found(written.error())) e->lease = nullptr;  // look again
    co_return written.error();
  }
  e->observe(std::move(*written));
  co_return true;
}

Awaitable<void> release(Ptr e) {
  if (e->lease.is_null() || e->holder() != e->options.identity) co_return;
  Json next = e->lease;
  next["spec"] = e->spec(true);
  auto written = co_await e->client.replace(kLeases, e->options.ns, e->options.name, std::move(next));
  if (!written.ok()) log::warning("release lease {}: {}", e->options.name, written.error().message);
}

Awaitable<void> lead_once(Ptr e, std::function<Awaitable<void>(StopToken)> lead, StopSource leading, [[maybe_unused]] Gate::Pass pass) {
  StopToken token = leading.get_token();
  co_await lead(token);
  e->lead_ended = !token.stop_requested();  // by itself, that is
  leading.request_stop();
}

// Until the lease is lost, `lead` ended or a stop was requested.
Awaitable<void> keep(Ptr e, StopSource leading) {
  auto renewed = e->clock.now();
  StopToken token = leading.get_token();
  while (co_await e->clock.sleep(e->options.retry, token)) {
    auto held = co_await try_hold(e);
    if (held.ok() && *held) {
      renewed = e->clock.now();
      continue;
    }
    if (held.ok()) {
      log::warning("lease {}/{} is held by {} now", e->options.ns, e->options.name, e->holder());
      break;
    }
    if (e->clock.now() - renewed >= e->options.renew) {
      log::warning("lease {}/{} could not be renewed in time: {}", e->options.ns, e->options.name, held.error().message);
      break;
    }
  }
}

}  // namespace

Awaitable<void> run_as_leader(client::Client client, Clock& clock, LeaderElectionOptions options,
                              std::function<Awaitable<void>(StopToken)> lead, StopToken stop) {
  auto e = std::make_shared<Election>(std::move(client), clock, std::move(options));
  auto executor = co_await boost::asio::this_coro::executor;
  std::string waiting_for;
  int failures = 0;
  while (!stop.stop_requested()) {
    auto held = co_await try_hold(e);
    if (!held.ok() || !*held) {
      // At start the server may still be coming up: ask soon, then with client-go's period.
      auto wait = e->options.retry;
      if (!held.ok()) {
        wait = std::min<Clock::Duration>(wait, std::chrono::milliseconds(50) * (1 << std::min(failures, 10)));
        if (failures++ == 0) log::warning("lease {}/{}: {}", e->options.ns, e->options.name, held.error().message);
      } else {
        failures = 0;
        if (waiting_for != e->holder()) log::info("lease {}/{} is held by {}", e->options.ns, e->options.name, e->holder());
        waiting_for = e->holder();
      }
      co_await clock.sleep(wait, stop);
      continue;
    }
    failures = 0;
    waiting_for.clear();
    log::info("leading as {}", e->options.identity);
    StopSource leading;
    auto relay = [leading]() mutable { leading.request_stop(); };
    std::stop_callback<decltype(relay)> on_stop(stop, relay);
    spawn(executor, lead_once(e, lead, leading, e->gate.enter()), "leader of " + e->options.name);
    co_await keep(e, leading);
    leading.request_stop();
    co_await e->gate.drained();
    if (stop.stop_requested() || e->lead_ended) {
      co_await release(e);
      if (!stop.stop_requested() && e->lead_ended) co_return;
    }
    e->lead_ended = false;
    e->lease = nullptr;
  }
}

}  // namespace nodevirt::runtime
