#include "pkg/base/log.hpp"
#include "virt-handler/migration/source/outgoing_impl.hpp"

namespace nodevirt::virt_handler::migration {

/// Between two ticks: longer than that only where this program itself was kept from running.
constexpr Clock::Duration kStoodStill = 3s;
/// A release that an earlier life asked for is over by then (the call itself has 30 s).
constexpr Clock::Duration kOldCalls = 35s;
/// A target that hears "released" says "resumed" at once; the connection itself is known to be gone only much later.
constexpr Clock::Duration kAnswer = 1s;
/// Until the job of a guest that went on, or the target, has told why it failed.
constexpr Clock::Duration kCause = 3s;
/// Until the streams to a target that has ended are cut: libvirt waits for as long as one of them seems to lead somewhere.
constexpr Clock::Duration kTargetGone = 1s;
/// libvirt's own end of the job, after the guest has moved.
constexpr Clock::Duration kJobEnd = 10s;
/// Until the last word of the progress has been written.
constexpr Clock::Duration kLastWord = 2s;

Outgoing::Impl::Impl(Deps d, std::shared_ptr<const InstanceObject> o)
    : Half(d.clock, d.client, std::move(o)), deps(std::move(d)), journal(deps.journal), handover(journal.read(id)),
      recovered(!state.started.empty()), born(deps.clock.now()) {}

FindLauncher Outgoing::Impl::find_launcher() {
  std::weak_ptr<Impl> weak = weak_from_this();
  return [weak]() -> std::shared_ptr<Launcher> {
    auto impl = weak.lock();
    return impl ? impl->deps.launchers.of_pod(impl->ns, impl->state.source_pod) : nullptr;
  };
}

/// The first reason is kept, but for one that says only that something broke.
void Outgoing::Impl::give_up(std::string reason) {
  if (failure.empty() || (is_vague(failure) && !is_vague(reason))) failure = std::move(reason);
}

std::string Outgoing::Impl::why() const {
  return why_it_failed({.failure = failure, .target_end = target_end, .stream = stream_failure, .target_node = state.target_node});
}

std::optional<std::string> Outgoing::Impl::reason() {
  if (!is_vague(failure)) return failure;
  if (!kept_since) kept_since = deps.clock.now();
  bool wait = !job_ended || (link && target_end.empty());
  if (wait && deps.clock.now() - *kept_since < kCause) return std::nullopt;
  return why();
}

void Outgoing::Impl::feed(const Json& vmi) {
  auto now = migration_of(vmi);
  if (!now || now->uid != id) {
    // Another one can only begin when this one was seen to be over.
    gone = true;
    poke();
    return;
  }
  state = *now;
  stored = vmi;
  handover.stored(state.owner, state.failed, state.completed);
  if (state.mode == "PostCopy") handover.post_copy();  // a launcher that was started anew does not know it
  bool deleting = !string_at(vmi, {"metadata", "deletionTimestamp"}).empty();
  if ((state.abort_requested || deleting) && !cancelled) {
    cancelled = true;
    give_up(deleting ? "the instance is being deleted" : "cancelled");
    handover.cancel();
  }
  poke();
}

Awaitable<void> Outgoing::Impl::tick() {
  auto self = shared_from_this();
  StopToken token = stop.get_token();
  int ticks = 0;
  for (Clock::Time before = deps.clock.now(); co_await deps.clock.sleep(250ms, token); before = deps.clock.now()) {
    if (over) co_return;
    ++ticks;
    if (Clock::Duration late = deps.clock.now() - before; policy && late > kStoodStill) policy->stood_still(late, deps.clock.now());
    if (policy && ticks % 20 == 0 && !job_ended) {
      Decision decision = policy->tick(deps.clock.now());
      for (Action& action : decision.actions) actions.push_back(std::move(action));
    }
    if (recovered && handover.decision() == SourceHandover::Decision::Open && ticks % 20 == 0 && deps.clock.now() - born >= kOldCalls)
      spawn(deps.executor, ask_again(), "migration: ask the launcher again");
    if (job_ended && recovered && handover.decision() == SourceHandover::Decision::Open && ticks % 2 == 0)
      spawn(deps.executor, see_whether_it_runs(), "migration: look at the guest");
    if (end_due && deps.clock.now() >= *end_due) tell_the_end();
    if (to_nowhere && !job_ended && handover.decision() == SourceHandover::Decision::Open && deps.clock.now() - to_nowhere->since >= kTargetGone)
      std::exchange(to_nowhere, std::nullopt)->end();
    if (released_said_at && deps.clock.now() - *released_said_at >= kAnswer) handover.answer_overdue();
    // What the informer does not tell: the instance is another node's as soon as the guest has moved.
    if (handover.decision() != SourceHandover::Decision::Open && ticks % 4 == 0) spawn(deps.executor, refresh(), "migration: read the instance");
    poke();
  }
}

/// Nothing of a pod that has ended runs any more, nor does its launcher tell anything: where the guest may be whole at the
/// target it is the target's, which says so when it is not.
void Outgoing::Impl::look_at_own_pod(const std::shared_ptr<Launcher>& launcher) {
  if (!launcher || launcher->connected || !launcher->pod->ended() || handover.decision() != SourceHandover::Decision::Open) return;
  if (handover.may_be_released()) return handover.released();
  give_up("the source's pod ended");
  job_ended = true;
  handover.ended(false);
}

void Outgoing::Impl::act() {
  std::shared_ptr<Launcher> launcher = find_launcher()();
  bool standing = launcher && launcher->domain && launcher->domain->state() == "Paused" && launcher->domain->reason() == "Migration";
  handover.stopped_by_migration(standing);
  look_at_own_pod(launcher);
  attend_post_copy(launcher);
  SourceHandover::Wants wants = handover.wants();
  Executor executor = deps.executor;
  // What is under way is marked before it begins: a coroutine may start later.
  if (wants.note && !std::exchange(noting, true)) spawn(executor, note(*wants.note), "migration: note");
  if (wants.release && !std::exchange(releasing, true)) {
    handover.release_begun();
    spawn(executor, release(), "migration: release");
  }
  if ((wants.cancel_job || wants.unpause) && !std::exchange(cancelling, true)) {
    if (wants.cancel_job) handover.cancel_begun();
    spawn(executor, cancel_job(), "migration: cancel");
  }
  if (wants.say_released && link) {
    link->say(released_message(guest_was_paused));
    handover.released_said();
    released_said_at = deps.clock.now();
  }
  std::optional<std::string> failed_for = wants.say_kept || wants.store_failed ? reason() : std::nullopt;
  // The target clears up when it hears it, and could then no longer tell what has ended there by itself.
  if (wants.say_kept && link && failed_for) {
    link->say(plain_message("kept"));
    handover.kept_said();
  }
  if (wants.say_lost && link) {
    link->say(plain_message("lost"));
    handover.lost_said();
  }
  if (wants.store_target && !std::exchange(storing, true)) {
    std::string migration = id;
    MakePatch make = [migration](const Json& vmi) { return owner_target_patch(vmi, migration); };
    spawn(executor, store(make), "migration: store");
  }
  if (wants.store_failed && failed_for && !std::exchange(storing, true)) {
    std::string migration = id, text = *failed_for;
    Clock::WallTime now = deps.clock.wall();
    MakePatch make = [migration, text, now](const Json& vmi) { return failed_patch(vmi, migration, text, now); };
    spawn(executor, store(make), "migration: store");
  }
  if (handover.decision() != SourceHandover::Decision::Open) actions.clear();
  if (!actions.empty() && !job_ended && !std::exchange(steering, true)) spawn(executor, steer(), "migration: steer");
}

Awaitable<void> Outgoing::Impl::run() {
  auto self = shared_from_this();
  StopToken token = stop.get_token();
  Executor executor = deps.executor;
  log::info("{}/{}: migration {} to node {}{}", ns, name, id, state.target_node, recovered ? " (begun before)" : "");
  auto json = parse_json(object->text);
  if (json.ok()) feed(*json);
  launcher::v1::WatchMigrationRequest watch;
  watch.set_migration_uid(id);
  watch.set_sample_interval_ms(200);
  std::weak_ptr<Impl> weak = self;
  OnMigrationEvent on_event = [weak](const launcher::v1::MigrationEvent& event, bool first) {
    if (auto impl = weak.lock()) impl->told(event, first);
  };
  spawn(executor, follow_launcher(find_launcher(), watch, deps.clock, on_event, token), "migration: follow the launcher");
  spawn(executor, tick(), "migration: tick");
  spawn(executor, keep_link(), "migration: link");
  if (!recovered) spawn(executor, begin(), "migration: begin");
  while (!token.stop_requested() && !gone && !handover.wants().done) {
    dirty = false;
    act();
    if (!dirty) co_await wake.wait(token);
  }
  if (!token.stop_requested()) co_await finish();
}

Awaitable<void> Outgoing::Impl::finish() {
  auto self = shared_from_this();
  StopToken token = stop.get_token();
  failure = why();
  bool left = !gone && handover.decision() == SourceHandover::Decision::Released;
  bool lost = left && state.failed, moved = left && !lost;
  log::info("{}/{}: migration {}: {}", ns, name, id,
            gone ? "the instance is gone, or migrates anew" : moved ? "the guest has moved" : lost ? "the guest is lost" : "the guest stays: " + failure);
  if (lost && !target_gone.empty()) deps.event(*object, "Warning", "GuestLost", string_at(stored, {"status", "migrationState", "failureReason"}), id);
  if (!gone && !left) deps.event(*object, "Warning", "FailedMigration", fmt::format("Migration {} failed: {}.", id, failure), id);
  if (moved) {
    Clock::Time until = deps.clock.now() + kJobEnd;
    while ((!job_ended || writing_progress || end_due) && deps.clock.now() < until && co_await deps.clock.sleep(50ms, token)) {}
    if (!final_sample) final_sample.emplace();  // nobody told its figures
    if (!progress || !progress->done) tell_the_end();
    for (until = deps.clock.now() + kLastWord; writing_progress && deps.clock.now() < until && co_await deps.clock.sleep(50ms, token);) {}
  }
  if (left) {
    // The pod has nothing left to do.
    if (MigrationRpc rpc = rpc_of(find_launcher()())) {
      launcher::v1::DomainRequest ask = domain();
      auto ended = co_await rpc.client->command(rpc::DomainCommand::Delete, ask);
      if (!ended.ok()) log::debug("{}/{}: {}", ns, name, ended.error().message);
    }
  }
  if (sockets) {
    sockets->stop();
    sockets->end_streams();
  }
  over = true;
  if (link) link->close();
  journal.remove(id);
  stop.request_stop();
  deps.changed(ns + "/" + name);
}

Outgoing::Outgoing(Deps deps, std::shared_ptr<const InstanceObject> object) : impl_(std::make_shared<Impl>(std::move(deps), std::move(object))) {
  Executor executor = impl_->deps.executor;
  spawn(executor, impl_->run(), "migration out");
}

Outgoing::~Outgoing() {
  impl_->over = true;
  impl_->stop.request_stop();
  if (impl_->link) impl_->link->close();
  if (impl_->sockets) {
    impl_->sockets->stop();
    impl_->sockets->end_streams();
  }
}

void Outgoing::instance(std::shared_ptr<const InstanceObject> object) { impl_->changed(impl_->deps.executor, std::move(object)); }

const std::string& Outgoing::uid() const { return impl_->id; }
bool Outgoing::over() const { return impl_->over; }

}  // namespace nodevirt::virt_handler::migration
