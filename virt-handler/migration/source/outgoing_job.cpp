// Before and during the job: the link to the target, the job's beginning, what both sides tell.
#include "pkg/base/failpoint.hpp"
#include "pkg/base/log.hpp"
#include "virt-handler/migration/source/outgoing_impl.hpp"

namespace nodevirt::virt_handler::migration {

NV_DECLARE_FAILPOINT(kBeforeMigrate, "virt-handler.migration-before-begin");
NV_DECLARE_FAILPOINT(kAfterMigrate, "virt-handler.migration-after-begin");
NV_DECLARE_FAILPOINT(kPostCopy, "virt-handler.migration-post-copy");
NV_DECLARE_FAILPOINT(kSwitchover, "virt-handler.migration-switchover");

constexpr Clock::Duration kHelloLimit = 60s, kJobLimit = 60s;

/// How fast the guest writes, while the target is being prepared; that may take less than a second.
Awaitable<void> Outgoing::Impl::measure() {
  auto self = shared_from_this();
  MigrationRpc rpc = rpc_of(find_launcher()());
  if (!rpc) co_return;
  launcher::v1::DirtyRateRequest ask;
  *ask.mutable_domain() = domain();
  ask.set_period_ms(1000);
  auto rate = co_await rpc->get_dirty_rate(ask);
  if (!rate.ok()) {
    log::debug("{}/{}: {}", ns, name, rate.error().message);
    co_return;
  }
  dirty_rate = rate->bytes_per_second();
  if (policy) policy->wrote_before(dirty_rate);
}

Awaitable<Result<void>> Outgoing::Impl::wait_for_hello() {
  auto self = shared_from_this();
  StopToken token = stop.get_token();
  std::optional<Clock::Time> until;
  while (!hello) {
    if (cancelled || !failure.empty()) co_return Error{Code::Cancelled, failure};
    if (!state.target_address.empty() && !until) until = deps.clock.now() + kHelloLimit;
    if (until && deps.clock.now() >= *until) co_return Error{Code::Unavailable, fmt::format("virt-handler of node {} cannot be reached at {}", state.target_node, state.target_address)};
    co_await wake.wait(token);
    if (token.stop_requested()) co_return Error{Code::Cancelled, "stopped"};
  }
  co_return Result<void>{};
}

/// A launcher that dies in between may have begun it or not: it is asked until it says so.
Awaitable<Result<void>> Outgoing::Impl::ask_for_the_job(launcher::v1::MigrateRequest ask) {
  auto self = shared_from_this();
  StopToken token = stop.get_token();
  Clock::Time until = deps.clock.now() + kJobLimit;
  for (bool asked = false;;) {
    Result<void> begun = Error{Code::Unavailable, "the source's launcher does not answer"};
    if (MigrationRpc rpc = rpc_of(find_launcher()())) {
      asked = true;
      begun = co_await rpc->migrate(ask);
    }
    NV_FAILPOINT(kAfterMigrate);
    bool unknown = !begun.ok() && (begun.error().code == Code::DeadlineExceeded || begun.error().code == Code::Unavailable);
    if (!unknown || job_ended) co_return begun.ok() || job_ended ? Result<void>{} : begun;
    log::warning("{}/{}: migration {}: {}", ns, name, id, begun.error().message);
    if (deps.clock.now() >= until) {
      if (!asked) co_return begun;
      give_up(begun.error().message);
    }
    if (deps.clock.now() >= until || !co_await deps.clock.sleep(200ms, token)) co_return Result<void>{};  // its events will tell
  }
}

Awaitable<Result<void>> Outgoing::Impl::try_to_begin() {
  auto self = shared_from_this();
  StopToken token = stop.get_token();
  MigrationRpc rpc = co_await wait_for_rpc(find_launcher(), deps.clock, 60s, token);
  if (!rpc) co_return Error{Code::Unavailable, "the source's launcher does not answer"};
  if (state.target_address.empty()) spawn(deps.executor, measure(), "migration: measure");
  auto greeted = co_await wait_for_hello();
  if (!greeted.ok()) co_return greeted.error();

  Settings settings = settings_of(stored, *object->view, id, hello->prepared, dirty_rate);
  policy.emplace(settings);
  memory_bytes = settings.memory_bytes;
  StartPlan plan = policy->start();
  begins_once = !plan.allow_post_copy;
  std::shared_ptr<Launcher> launcher = find_launcher()();
  if (!launcher) co_return Error{Code::Unavailable, "the source's pod is gone"};
  std::weak_ptr<Impl> weak = self;
  PodSockets::Deps streams{.executor = deps.executor, .tls = deps.tls, .folder = deps.launchers.empty_dir(*launcher->pod, "migration"),
                           .launcher_uid = deps.launcher_uid, .migration = id, .instance = instance, .target_node = state.target_node,
                           .address = state.target_address, .plain_token = settings.config.disable_tls ? hello->token : std::string()};
  streams.failed = [weak](Error error) {
    if (auto impl = weak.lock()) {
      log::warning("{}/{}: migration {}: {}", impl->ns, impl->name, impl->id, error.message);
      if (impl->stream_failure.empty()) impl->stream_failure = error.message;
    }
  };
  sockets = std::make_unique<PodSockets>(std::move(streams));
  PodSockets::Names names;
  auto last_part = [](const std::string& path) { return path.substr(path.rfind('/') + 1); };
  if (!hello->prepared.memory_socket().empty()) names.memory = last_part(hello->prepared.memory_socket());
  if (!hello->prepared.disk_socket().empty()) names.disk = last_part(hello->prepared.disk_socket());
  if (names.disk == names.memory) co_return Error{Code::InvalidArgument, "the target has one socket for memory and disks"};
  NV_CO_TRY_VOID(sockets->listen(names));

  std::string migration = id;
  Clock::WallTime now = deps.clock.wall();
  MakePatch make = [migration, now](const Json& vmi) { return started_patch(vmi, migration, now); };
  auto written = co_await write_instance(deps.client, deps.clock, ns, name, instance, make, token);
  if (!written.ok()) co_return written.error();
  if (written->gone) co_return Error{Code::NotFound, "the instance is gone"};
  feed(written->vmi);
  if (cancelled || state.failed) co_return Error{Code::Cancelled, failure.empty() ? "it was taken back" : failure};

  launcher::v1::MigrateRequest ask = migrate_request(settings, plan, *object->view, id, domain(), hello->prepared);
  NV_FAILPOINT(kBeforeMigrate);
  job_asked = true;
  asked_at = deps.clock.now();
  auto begun = co_await ask_for_the_job(ask);
  if (!begun.ok()) co_return begun.error();
  deps.event(*object, "Normal", "Migrating", fmt::format("The guest migrates to node {}.", state.target_node), id);
  if (cancelled) handover.cancel();
  co_return Result<void>{};
}

Awaitable<void> Outgoing::Impl::begin() {
  auto self = shared_from_this();
  auto begun = co_await try_to_begin();
  if (begun.ok() || stop.stop_requested()) co_return;
  give_up(begun.error().message);
  job_ended = true;
  handover.ended(false);
  poke();
}

/// The source opens the link, as often as needed.
Awaitable<void> Outgoing::Impl::keep_link() {
  auto self = shared_from_this();
  StopToken token = stop.get_token();
  Clock::Duration pause = 50ms;
  while (!token.stop_requested() && !over) {
    if (!link && !state.target_address.empty()) {
      StreamTarget target{.address = state.target_address, .node = state.target_node};
      StreamHeader header{.migration = id, .instance = instance, .channel = Channel::Control};
      auto opened = co_await open_stream(target, deps.tls, header);
      if (over || token.stop_requested()) co_return;
      if (opened.ok()) {
        pause = 50ms;
        std::weak_ptr<Impl> weak = self;
        link = std::make_shared<ControlLink>(deps.executor, *opened);
        auto said = [weak](Json message) {
          if (auto impl = weak.lock()) impl->heard(message);
        };
        auto lost = [weak](Error why) {
          auto impl = weak.lock();
          if (!impl) return;
          log::debug("{}/{}: migration {}: the link is gone: {}", impl->ns, impl->name, impl->id, why.message);
          impl->link.reset();
          impl->handover.link(false);
          impl->poke();
        };
        link->start(said, lost);
        handover.link(true);
        poke();
      } else {
        log::debug("{}/{}: migration {}: {}", ns, name, id, opened.error().message);
        pause = std::min<Clock::Duration>(pause * 2, 1s);
      }
    }
    co_await deps.clock.sleep(link ? Clock::Duration(200ms) : pause, token);
  }
}

void Outgoing::Impl::heard(const Json& message) {
  std::string type = string_at(message, {"type"});
  if (type == "hello") {
    auto read = parse_hello(message);
    if (read.ok()) hello = std::move(*read);
    else give_up(read.error().message);
  } else if (type == "refused") {
    give_up(fmt::format("node {} could not prepare the target: {}", state.target_node, string_at(message, {"error"})));
  } else if (type == "ended") {
    std::string what = string_at(message, {"what"});
    if (what == "QEMU" || what == "pod") target_end = what;
    if (!target_end.empty() && sockets && begins_once) to_nowhere = {deps.clock.now(), sockets->ending_these()};
    log::info("{}/{}: migration {}: node {} tells that its {} has ended", ns, name, id, state.target_node, target_end);
  } else if (type == "loaded") {
    target_end.clear();
    to_nowhere.reset();
    handover.target_loaded();
  } else if (type == "resumed") {
    handover.target_resumed();
    if (!resumed_at) resumed_at = deps.clock.now();
    if (final_sample) tell_the_end();
    spawn(deps.executor, refresh(), "migration: read the instance");
  }
  poke();
}

void Outgoing::Impl::told(const launcher::v1::MigrationEvent& event, bool first) {
  using E = launcher::v1::MigrationEvent;
  switch (event.kind()) {
    case E::SAMPLE:
      sampled(event.sample());
      break;
    case E::ITERATION:
      // It carries the figures of the pass before: what was dirtied is only in the next sample.
      break;
    case E::SWITCHOVER:
      NV_FAILPOINT(kSwitchover);
      if (!first) switched_at = deps.clock.now();
      if (policy) policy->switch_over_began();
      handover.switchover();
      break;
    case E::POST_COPY:
      NV_FAILPOINT(kPostCopy);
      if (std::exchange(post_copy, true)) break;
      if (policy) policy->post_copy_began();
      handover.post_copy();
      spawn(deps.executor, write_mode("PostCopy"), "migration: mode");
      deps.event(*object, "Warning", "PostCopy",
                 fmt::format("The guest runs on node {} now, while the rest of its memory still comes from node {}: should one of them, or the link "
                             "between them, be lost before all of it is there, the guest is lost.", state.target_node, state.source_node), id);
      break;
    case E::RESUMED:
      switched_at.reset();
      if (!event.error().empty()) give_up(event.error());  // else the job's end tells why
      handover.resumed();
      break;
    case E::ENDED:
      job_ended = true;
      // Only this program has a job cancelled, and knows why; unless a person did, it was for what somebody else tells.
      if (!event.error().empty()) give_up(event.error() == "cancelled" && !cancelled ? std::string(kCalledOff) : event.error());
      else if (post_copy || handover.decision() == SourceHandover::Decision::Released) ended_well(event.sample());
      handover.ended(event.error().empty());
      break;
    case E::RELEASED:
      handover.released();
      ended_well(event.sample());
      break;
    case E::NONE:
      // Its job was about to begin when the earlier life ended.
      if (first && recovered) {
        give_up("virt-handler was restarted before the migration began");
        job_ended = true;
        handover.ended(false);
      }
      break;
    default: break;
  }
  poke();
}

}  // namespace nodevirt::virt_handler::migration
