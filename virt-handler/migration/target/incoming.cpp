#include "virt-handler/migration/target/incoming.hpp"

#include "pkg/base/failpoint.hpp"
#include "pkg/base/id.hpp"
#include "pkg/base/log.hpp"
#include "virt-handler/migration/target/incoming_impl.hpp"

namespace nodevirt::virt_handler::migration {

NV_DECLARE_FAILPOINT(kLoaded, "virt-handler.migration-target-loaded");

/// Streams of a migration that went well end by themselves.
constexpr Clock::Duration kStreamsEnd = 10s;

Incoming::Impl::Impl(Deps d, std::shared_ptr<const InstanceObject> o)
    : Half(d.clock, d.client, std::move(o)), deps(std::move(d)), token(new_uuid()) {}

FindLauncher Incoming::Impl::find_launcher() {
  std::weak_ptr<Impl> weak = weak_from_this();
  return [weak]() -> std::shared_ptr<Launcher> {
    auto impl = weak.lock();
    return impl ? impl->deps.launchers.of_pod(impl->ns, impl->state.target_pod) : nullptr;
  };
}

void Incoming::Impl::feed(const Json& vmi) {
  auto now = migration_of(vmi);
  bool superseded = !now || now->uid != id;
  if (!superseded) {
    state = *now;
    stored = vmi;
    if (state.mode == "PostCopy") handover.post_copy();  // also when its launcher is no more
  }
  handover.stored(superseded ? Owner::None : state.owner, !superseded && state.failed, !superseded && state.completed, superseded);
  poke();
}

Awaitable<void> Incoming::Impl::tick() {
  auto self = shared_from_this();
  StopToken token = stop.get_token();
  for (int ticks = 1; co_await deps.clock.sleep(250ms, token); ++ticks) {
    if (over) co_return;
    // The informer tells it too; this is for the time after the label that it selects by. A guest that stands here may
    // have been decided on, and the link gone without a sign.
    bool stands = came_in && handover.decision() == TargetHandover::Decision::Open;
    if (ticks % 20 == 0 || ((!link || stands) && told_once && ticks % 4 == 0)) spawn(deps.executor, refresh(), "migration: read the instance");
    poke();
  }
}

void Incoming::Impl::told(const launcher::v1::MigrationEvent& event) {
  using E = launcher::v1::MigrationEvent;
  told_once = true;
  switch (event.kind()) {
    case E::LOADED:
      NV_FAILPOINT(kLoaded);
      came_in = true;
      handover.loaded();
      break;
    case E::RESUMED:
      came_in = true;
      handover.running();
      break;
    case E::POST_COPY:
      came_in = post_copy = true;
      listens_again = !event.error().empty();
      handover.post_copy();
      break;
    case E::ENDED:
      log::info("{}/{}: migration {}: nothing came in: {}", ns, name, id, event.error());
      handover.launcher_known();
      break;
    default:
      handover.launcher_known();
      break;
  }
  poke();
}

void Incoming::Impl::heard(const Json& message) {
  std::string type = string_at(message, {"type"});
  if (type == "released") {
    keep_paused = bool_at(message, {"guestWasPaused"});
    handover.source_released();
  } else if (type == "kept") {
    handover.source_kept();
  } else if (type == "lost") {
    handover.source_lost();
  }
  poke();
}

void Incoming::Impl::act() {
  Executor executor = deps.executor;
  TargetHandover::Wants wants = handover.wants();
  std::shared_ptr<Launcher> launcher = find_launcher()();
  if ((launcher && !door_open) || memory_waits != (handover.fetches() && !listens_again)) open_door();
  look_whether_it_is_lost(launcher);
  tell_of_its_end(launcher);
  bool to_prepare = told_once && !came_in && !prepared && !refused && handover.decision() == TargetHandover::Decision::Open && !state.finished();
  if (to_prepare && !std::exchange(preparing, true)) spawn(executor, prepare(), "migration: prepare");
  if (wants.say_loaded && link) {
    link->say(plain_message("loaded"));
    handover.loaded_said();
  }
  if (wants.resume && !std::exchange(resuming, true)) spawn(executor, resume(), "migration: resume");
  if (wants.say_resumed && link) {
    link->say(plain_message("resumed"));
    handover.resumed_said();
  }
  if (wants.abandon && !std::exchange(abandoning, true)) spawn(executor, abandon(), "migration: abandon");
  if (storing) return;
  std::string migration = id;
  Clock::WallTime now = deps.clock.wall();
  if (wants.complete) {
    NewHome home{.node = deps.node};
    if (launcher) {
      home.pod_uid = launcher->pod->meta.uid;
      for (const std::string* ip : {&launcher->pod->ip, &launcher->pod->ip6})
        if (!ip->empty() && std::find(home.addresses.begin(), home.addresses.end(), *ip) == home.addresses.end()) home.addresses.push_back(*ip);
    }
    if (handover.guest_lost()) home.failure = loss;
    MakePatch make = [migration, home, now](const Json& vmi) { return completed_patch(vmi, migration, home, now); };
    storing = true;
    spawn(executor, store(make), "migration: store");
    return;
  }
  if (state.finished()) return;
  // The source's virt-handler writes it too, but not when it was killed in that moment.
  if (post_copy && state.mode != "PostCopy") {
    MakePatch make = [migration](const Json& vmi) { return mode_patch(vmi, migration, "PostCopy"); };
    storing = true;
    spawn(executor, store(make), "migration: store");
    return;
  }
  if ((prepared || refused || came_in || handover.fetches()) && state.target_address != deps.address && !deps.address.empty()) {
    std::string address = deps.address;
    MakePatch make = [migration, address](const Json& vmi) { return address_patch(vmi, migration, address); };
    storing = true;
    spawn(executor, store(make), "migration: store");
    return;
  }
  if (handover.decision() != TargetHandover::Decision::Open) return;
  bool present = launcher && launcher->domain && launcher->domain->present();
  if (present && !state.target_detected && !detected) {
    detected = true;
    MakePatch make = [migration, now](const Json& vmi) { return detected_patch(vmi, migration, now); };
    storing = true;
    spawn(executor, store(make), "migration: store");
  }
}

Awaitable<void> Incoming::Impl::run() {
  auto self = shared_from_this();
  StopToken token_ = stop.get_token();
  Executor executor = deps.executor;
  log::info("{}/{}: migration {} from node {}", ns, name, id, state.source_node);
  if (auto json = parse_json(object->text); json.ok()) feed(*json);
  launcher::v1::WatchMigrationRequest watch;
  watch.set_migration_uid(id);
  watch.set_sample_interval_ms(1000);
  std::weak_ptr<Impl> weak = self;
  OnMigrationEvent on_event = [weak](const launcher::v1::MigrationEvent& event, bool) {
    if (auto impl = weak.lock()) impl->told(event);
  };
  spawn(executor, follow_launcher(find_launcher(), watch, deps.clock, on_event, token_), "migration: follow the launcher");
  spawn(executor, tick(), "migration: tick");
  open_door();
  while (!token_.stop_requested() && !gone && !handover.wants().done) {
    dirty = false;
    act();
    if (!dirty) co_await wake.wait(token_);
  }
  if (!token_.stop_requested()) co_await finish();
}

Awaitable<void> Incoming::Impl::finish() {
  auto self = shared_from_this();
  StopToken token_ = stop.get_token();
  bool here = !gone && handover.decision() == TargetHandover::Decision::Run;
  if (here && handover.guest_lost()) deps.event(*object, "Warning", "GuestLost", loss, id);
  if (here && !handover.guest_lost() && !state.failed) deps.event(*object, "Normal", "Migrated", fmt::format("The guest runs on node {} now.", deps.node), id);
  deps.changed(ns + "/" + name);
  // The last word on the link, and libvirt's own wind-up.
  if (here)
    for (Clock::Time until = deps.clock.now() + kStreamsEnd; link && deps.clock.now() < until && co_await deps.clock.sleep(100ms, token_);) act();
  over = true;
  if (link) link->close();
  deps.port.forget(id, !here);
  stop.request_stop();
  deps.changed(ns + "/" + name);
}

Incoming::Incoming(Deps deps, std::shared_ptr<const InstanceObject> object) : impl_(std::make_shared<Impl>(std::move(deps), std::move(object))) {
  Executor executor = impl_->deps.executor;
  spawn(executor, impl_->run(), "migration in");
}

Incoming::~Incoming() {
  bool was_over = std::exchange(impl_->over, true);
  impl_->stop.request_stop();
  if (impl_->link) impl_->link->close();
  if (!was_over) impl_->deps.port.forget(impl_->id, true);
}

void Incoming::instance(std::shared_ptr<const InstanceObject> object) { impl_->changed(impl_->deps.executor, std::move(object)); }

const std::string& Incoming::uid() const { return impl_->id; }
bool Incoming::over() const { return impl_->over; }

}  // namespace nodevirt::virt_handler::migration
