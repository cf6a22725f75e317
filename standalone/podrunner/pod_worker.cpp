#include "standalone/podrunner/pod_worker.hpp"

#include <signal.h>
#include <unistd.h>

#include "pkg/base/failpoint.hpp"
#include "pkg/base/log.hpp"
#include "pkg/k8s/status.hpp"
#include "standalone/podrunner/network_namespace.hpp"
#include "standalone/podrunner/pod_start.hpp"
#include "standalone/podrunner/probe.hpp"

namespace nodevirt::podrunner {
namespace {

NV_DECLARE_FAILPOINT(kEnded, "podrunner.container-ended");
NV_DECLARE_FAILPOINT(kSandboxDown, "podrunner.sandbox-down");
NV_DECLARE_FAILPOINT(kFolderRemoved, "podrunner.folder-removed");

std::uint64_t version_number(const std::string& rv) { return std::strtoull(rv.c_str(), nullptr, 10); }

Clock::Duration back_off(int failures, Clock::Duration first, Clock::Duration most) {
  auto d = first;
  for (int i = 1; i < failures && d < most; ++i) d *= 2;
  return std::min(d, most);
}

}  // namespace

PodWorker::PodWorker(Deps deps, Executor executor, PodView pod, std::shared_ptr<const Json> object, bool gone)
    : deps_(std::move(deps)), executor_(executor), pod_(std::move(pod)), object_(std::move(object)),
      paths_(deps_.options, pod_.uid, pod_.containers.empty() ? "none" : pod_.containers[0].name), wake_(executor), gone_(gone) {
  facts_.host_ip = deps_.options.node_ip;
  facts_.start_time = pod_.start_time.empty() ? now() : pod_.start_time;
  facts_.container.container_id = "nodevirt://" + pod_.uid;
}

std::string PodWorker::now() const { return format_time(deps_.clock.wall()); }
unsigned PodWorker::uid() const { return static_cast<unsigned>(container().run_as_user.value_or(pod_.run_as_user.value_or(deps_.options.launcher_uid))); }
unsigned PodWorker::gid() const {
  const auto group = container().run_as_group ? container().run_as_group : pod_.run_as_group;
  if (group) return static_cast<unsigned>(*group);
  return uid() == deps_.options.launcher_uid ? deps_.options.launcher_gid : uid();
}
std::string PodWorker::holder() const { return deps_.options.node_name + "." + pod_.uid; }
CniAttachment PodWorker::attachment() const {
  return {pod_.uid, paths_.netns.string(), pod_.ns, pod_.name, pod_.uid, pod_.containers.empty() ? std::vector<HostPort>{} : container().host_ports};
}

void PodWorker::event(const char* type, const std::string& reason, const std::string& message) {
  if (gone_) return;
  deps_.events.event({"v1", "Pod", pod_.ns, pod_.name, pod_.uid, pod_.resource_version}, type, reason, message);
}

void PodWorker::update(PodView pod, std::shared_ptr<const Json> object) {
  // Our own patch may have answered before the watch tells of an older state.
  if (version_number(pod.resource_version) < version_number(pod_.resource_version)) return;
  pod_ = std::move(pod);
  object_ = std::move(object);
  wake_.notify();
}

void PodWorker::removed() {
  gone_ = true;
  wake_.notify();
}

void PodWorker::evict(std::string reason, std::string message) {
  if (ending() || stage_ == Stage::Ended || stage_ == Stage::Gone) return;
  facts_.failed_reason = std::move(reason);
  facts_.failed_message = std::move(message);
  event("Warning", facts_.failed_reason, facts_.failed_message);
  wake_.notify();
}

bool PodWorker::ending() const {
  return gone_ || !pod_.deletion_timestamp.empty() || !facts_.failed_reason.empty() || unhealthy_ || pod_.finished();
}

std::optional<Clock::Duration> PodWorker::until_next() const {
  std::optional<Clock::Time> first;
  for (const auto& t : {next_try_, next_report_, kill_at_})
    if (t && (!first || *t < *first)) first = t;
  if (!first) return std::nullopt;
  return std::max<Clock::Duration>(*first - deps_.clock.now(), std::chrono::milliseconds(1));
}

Awaitable<void> PodWorker::run(StopToken stop) {
  auto self = shared_from_this();
  co_await adopt();
  while (!stop.stop_requested()) {
    co_await advance(stop);
    const bool reported = co_await report();
    if (reported && stage_ == Stage::Ended && sandbox_down_ && (gone_ || !pod_.deletion_timestamp.empty())) {
      const bool confirmed = co_await confirm_deletion();
      if (confirmed) break;
    }
    co_await wake_.wait(deps_.clock, until_next(), stop);
  }
  probes_.request_stop();
}

Awaitable<void> PodWorker::adopt() {
  const auto paths = paths_;
  const auto uid = pod_.uid;
  auto look = [paths, uid] { return look_for_pod(paths, uid); };
  const Remains remains = co_await blocking(look);
  if (!remains.folder) {
    if (pod_.finished()) silent_ = true, stage_ = Stage::Ended, sandbox_down_ = true;
    co_return;
  }
  facts_.pod_ip = remains.pod_ip;
  facts_.network_ready = !remains.pod_ip.empty();
  if (remains.kind == Remains::Kind::Running) {
    admitted_ = true;
    log::info("pod {} runs on: took it over (process {})", pod_.key(), remains.leader);
    running(remains.leader, remains.started_at);
    bool ready_before = false;
    for (const auto& c : pod_.conditions)
      if (string_at(c, {"type"}) == "ContainersReady") ready_before = string_at(c, {"status"}) == "True";
    start_probes(ready_before);
  } else if (remains.kind == Remains::Kind::Ended) {
    admitted_ = true;
    stage_ = Stage::Ended;
    facts_.container = remains.container;
    facts_.container.container_id = "nodevirt://" + pod_.uid;
  } else {
    // Nothing of it ever ran: what was half made is undone, and it starts from the beginning.
    auto undone = co_await take_down_sandbox();
    if (!undone.ok()) log::warning("pod {}: {}", pod_.key(), undone.error().message);
    sandbox_down_ = false;
    facts_.pod_ip.clear();
    facts_.network_ready = false;
    if (pod_.finished()) silent_ = true, stage_ = Stage::Ended;
  }
}

Awaitable<void> PodWorker::advance(StopToken stop) {
  if (stage_ == Stage::Starting) {
    if (!ending() && !admitted_) {
      if (auto refusal = deps_.admit(pod_)) {
        facts_.failed_reason = refusal->reason;
        facts_.failed_message = "Pod was rejected: " + refusal->message;
        event("Warning", refusal->reason, refusal->message);
        log::info("pod {} refused: {}", pod_.key(), refusal->message);
      }
      admitted_ = true;
    }
    if (ending()) {
      stage_ = Stage::Ended;
      if (network_) co_await network_.ready();
      if (facts_.failed_reason.empty()) silent_ = true;  // deleted before it ran: nothing to tell
    } else if (!next_try_ || deps_.clock.now() >= *next_try_) {
      next_try_.reset();
      co_await start(stop);
    }
  }
  if (stage_ == Stage::Running && processes_gone_) co_await container_ended();
  if (stage_ == Stage::Running && ending()) co_await end_container();
  if (stage_ == Stage::Ended && !sandbox_down_) {
    auto down = co_await take_down_sandbox();
    if (!down.ok()) {
      log::warning("pod {}: {}", pod_.key(), down.error().message);
      next_try_ = deps_.clock.now() + std::chrono::seconds(1);
    } else {
      next_try_.reset();
    }
  }
}

void PodWorker::start_failed(const Error& error) {
  ++failures_;
  const bool image = error.reason.find("Image") != std::string::npos;
  const auto delay = image ? back_off(failures_, std::chrono::seconds(5), std::chrono::seconds(60))
                           : back_off(failures_, std::chrono::milliseconds(200), std::chrono::seconds(5));
  next_try_ = deps_.clock.now() + delay;
  std::string reason = error.reason.empty() ? "CreateContainerError" : error.reason;
  std::string message = error.message;
  if (reason == "ErrImagePull" && failures_ > 1) {
    reason = "ImagePullBackOff";
    message = "Back-off pulling: " + message;
  }
  // The volumes and the network are no container's business: there it only waits, and the event says why.
  const bool before_container = reason == "FailedMount" || reason == "FailedCreatePodSandBox";
  facts_.container.reason = before_container ? "ContainerCreating" : reason;
  facts_.container.message = message;
  if (last_failure_ != reason + message) {
    log::warning("pod {} does not start: {}", pod_.key(), message);
    event("Warning", image || !before_container ? "Failed" : reason, message);
  }
  last_failure_ = reason + message;
}

Awaitable<void> PodWorker::start(StopToken stop) {
  auto result = co_await try_start(stop);
  if (result.ok()) co_return;
  const auto paths = paths_;
  auto drop = [paths] { return drop_held(paths); };
  (void)co_await blocking(drop);  // what does not end now is met again by the next attempt, or by the pod's end
  if (ending() || stop.stop_requested()) co_return;
  start_failed(result.error());
}

Awaitable<Result<void>> PodWorker::try_start(StopToken stop) {
  const Options& options = deps_.options;
  const auto paths = paths_;
  const auto attach = attachment();
  const auto object = object_;
  const PodView pod = pod_;  // as it is now: it may change while other threads look at it
  const bool connect_it = !network_ || (network_.done() && !network_.value().ok());
  auto folder = [&options, &paths, &attach, &pod, object, connect_it]() -> Result<void> {
    NV_TRY_VOID(make_pod_directory(options, paths, pod, *object));
    if (!connect_it) return {};
    return make_network(options, paths, attach);
  };
  NV_CO_TRY_VOID(co_await blocking(folder));

  // The network is made beside everything else.
  if (connect_it) {
    auto connect = [&options, paths, attach]() -> Result<Network> {
      auto made = connect_pod(options, paths, attach);
      if (!made.ok()) return std::move(made).error();
      return Network{*made, cni_address(*made)};
    };
    network_ = Task<Result<Network>>::start(executor_, blocking(std::move(connect)), "pod network");
  }
  auto images = co_await fetch_images(stop);
  if (!images.ok()) {
    co_await network_.ready();
    co_return std::move(images).error();
  }
  auto objects = co_await fetch_objects();
  auto claims = co_await fetch_claims();
  Result<MountedVolumes> volumes;
  if (objects.ok() && claims.ok()) {
    VolumeContext context{options, paths, pod, *objects, *claims, *images, Place{options.node_name, "", options.node_ip}, uid(), gid()};
    auto mount = [&context] { return set_up_volumes(context); };
    volumes = co_await blocking(mount);
  }
  const bool complete = objects.ok() && claims.ok() && volumes.ok();
  if (!complete || needs_pod_ip(container())) co_await network_.ready();
  if (!objects.ok()) co_return std::move(objects).error();
  if (!claims.ok()) co_return std::move(claims).error();
  if (!volumes.ok()) co_return std::move(volumes).error();
  std::string ip;
  if (network_.done() && network_.value().ok()) ip = network_.value().value().ip;

  StartContext context{options, paths, pod, *objects, *volumes, Place{options.node_name, ip, options.node_ip}, uid(), gid(), deps_.cgroups};
  auto hold = [&context] { return hold_container(context); };
  auto held = co_await blocking(hold);
  co_await network_.ready();
  if (!network_.value().ok()) co_return network_.value().error();
  if (!held.ok()) co_return std::move(held).error();
  facts_.pod_ip = network_.value().value().ip;
  facts_.network_ready = true;
  if (ending() || stop.stop_requested()) co_return Error(Code::Cancelled, "the pod ends");

  ip = facts_.pod_ip;
  const std::string started_at = now();
  auto release = [&context, &ip, &started_at] { return release_container(context, ip, started_at); };
  auto released = co_await blocking(release);
  if (!released.ok()) co_return std::move(released).error();
  running(*held, started_at);
  start_probes(false);
  event("Normal", "Started", "Started container " + container().name);
  co_return Result<void>{};
}

void PodWorker::running(pid_t leader, std::string started_at) {
  stage_ = Stage::Running;
  failures_ = 0;
  facts_.container.state = ContainerFacts::State::Running;
  facts_.container.reason.clear();
  facts_.container.message.clear();
  facts_.container.started_at = std::move(started_at);
  spawn(executor_, watch_processes(leader), "pod processes");
}

void PodWorker::start_probes(bool ready_before) {
  const auto& c = container();
  probes_ = StopSource();
  auto self = weak_from_this();
  const auto token = probes_.get_token();
  facts_.container.started = !c.startup || ready_before;
  facts_.container.ready = facts_.container.started && (!c.readiness || ready_before);
  const auto others = [self, token] {
    auto me = self.lock();
    if (!me) return;
    const auto& view = me->container();
    if (view.readiness) {
      auto on = [self](bool ok, std::string why) {
        auto w = self.lock();
        if (!w) return;
        w->facts_.container.ready = ok;
        if (!ok) w->event("Warning", "Unhealthy", "Readiness probe failed: " + why);
        w->wake_.notify();
      };
      spawn(me->executor_, run_probe(*view.readiness, me->facts_.pod_ip, me->facts_.container.ready, me->deps_.clock, on, token), "readiness probe");
    }
    if (view.liveness) {
      auto on = [self](bool ok, std::string why) {
        auto w = self.lock();
        if (!w || ok) return;
        w->unhealthy_ = true;
        w->event("Warning", "Unhealthy", "Liveness probe failed: " + why);
        w->wake_.notify();
      };
      spawn(me->executor_, run_probe(*view.liveness, me->facts_.pod_ip, true, me->deps_.clock, on, token), "liveness probe");
    }
  };
  if (facts_.container.started) {
    others();
    return;
  }
  // The startup probe starts with the verdict "up", so that its failures are counted, and ends at its first success.
  auto startup = [](std::weak_ptr<PodWorker> weak, ProbeView probe, std::string ip, Clock& clock, std::function<void()> then, StopToken stop) -> Awaitable<void> {
    int failed = 0;
    bool slept = co_await clock.sleep(std::chrono::seconds(probe.initial_delay), stop);
    while (slept && !stop.stop_requested()) {
      auto result = co_await probe_once(probe, ip);
      auto me = weak.lock();
      if (!me || stop.stop_requested()) co_return;
      if (result.ok()) {
        me->facts_.container.started = true;
        me->facts_.container.ready = !me->container().readiness;
        me->wake_.notify();
        then();
        co_return;
      }
      if (++failed >= probe.failure) {
        me->unhealthy_ = true;
        me->event("Warning", "Unhealthy", "Startup probe failed: " + result.error().message);
        me->wake_.notify();
        co_return;
      }
      me.reset();
      slept = co_await clock.sleep(std::chrono::seconds(probe.period), stop);
    }
  };
  spawn(executor_, startup(self, *c.startup, facts_.pod_ip, deps_.clock, others, token), "startup probe");
}

Awaitable<void> PodWorker::end_container() {
  const auto now_at = deps_.clock.now();
  std::int64_t grace = pod_.deletion_grace.value_or(pod_.grace_seconds);
  if (pod_.deletion_timestamp.empty()) grace = pod_.grace_seconds;
  if (gone_) grace = 0;
  if (!term_sent_) {
    const auto status = read_sandbox_status(paths_.status().string());
    if (!term_patience_) term_patience_ = now_at + std::chrono::seconds(2);
    if (grace > 0 && now_at < *term_patience_ && (status.init <= 0 || !heeds_sigterm(status.init))) {  // it has only just begun
      kill_at_ = now_at + std::chrono::milliseconds(20);
      co_return;
    }
    term_sent_ = true;
    term_started_ = now_at;
    // Time that passed before a restart of ours counts; the timestamp has lost up to a second of it.
    if (auto at = parse_time(pod_.deletion_timestamp); at.ok() && pod_.deletion_grace) {
      const auto until = std::chrono::duration_cast<Clock::Duration>(*at - deps_.clock.wall()) + std::chrono::seconds(1);
      term_started_ = std::min(now_at, now_at + until - std::chrono::seconds(*pod_.deletion_grace));
    }
    probes_.request_stop();
    if (grace > 0 && status.init > 0) {
      event("Normal", "Killing", "Stopping container " + container().name);
      ::kill(status.init, SIGTERM);
    }
  }
  const auto deadline = term_started_ + std::chrono::seconds(grace);
  if (now_at < deadline) {
    kill_at_ = deadline;
    co_return;
  }
  const auto netns = paths_.netns.string();
  auto kill = [netns] { return kill_sandbox(netns, 100); };
  const bool dead = co_await blocking(kill);
  // The end itself is seen by watch_processes; until then it is tried again.
  kill_at_ = deps_.clock.now() + (dead ? std::chrono::milliseconds(500) : std::chrono::seconds(1));
}

Awaitable<void> PodWorker::container_ended() {
  NV_FAILPOINT(kEnded);
  probes_.request_stop();
  kill_at_.reset();
  const auto paths = paths_;
  const auto view = container();
  const auto started_at = facts_.container.started_at;
  const auto finished_at = now();
  auto read = [paths, view, started_at, finished_at] { return record_exit(paths, view, started_at, finished_at); };
  auto ended = co_await blocking(read);
  ended.container_id = facts_.container.container_id;
  facts_.container = std::move(ended);
  log::info("pod {}: container {} ended with code {}", pod_.key(), container().name, facts_.container.exit_code);
  stage_ = Stage::Ended;
}

Awaitable<Result<void>> PodWorker::take_down_sandbox() {
  const Options& options = deps_.options;
  const auto paths = paths_;
  const auto attach = attachment();
  const auto* cgroups = &deps_.cgroups;
  auto down = [&options, paths, attach, cgroups] { return take_down(options, paths, attach, *cgroups); };
  auto result = co_await blocking(down);
  if (result.ok()) {
    NV_FAILPOINT(kSandboxDown);
    sandbox_down_ = true;
    facts_.network_ready = false;
    network_.reset();
  }
  co_return result;
}

Awaitable<void> PodWorker::watch_processes(pid_t leader) {
  auto self = shared_from_this();
  const auto netns = paths_.netns.string();
  while (leader > 0) {
    auto fd = open_pid(leader);
    if (fd.ok()) {
      boost::asio::posix::stream_descriptor descriptor(executor_, fd->release());
      co_await descriptor.async_wait(boost::asio::posix::stream_descriptor::wait_read, boost::asio::as_tuple(boost::asio::use_awaitable));
    } else if (fd.error().code != Code::NotFound) {
      log::error("pod {}: {}", pod_.key(), fd.error().message);
      co_await deps_.clock.sleep(std::chrono::milliseconds(200), StopToken());
    }
    // bwrap's outer process alone may have been killed: then the pod goes on without it.
    auto look = [netns] { return find_sandbox(netns); };
    const auto left = co_await blocking(look);
    const pid_t before = leader;
    leader = left.init > 0 ? left.init : left.shim > 0 ? left.shim : left.alive() ? left.all.front() : 0;
    if (leader == before) co_await deps_.clock.sleep(std::chrono::milliseconds(20), StopToken());
  }
  processes_gone_ = true;
  wake_.notify();
}

Awaitable<bool> PodWorker::report() {
  if (gone_ || silent_) co_return true;
  if (next_report_ && deps_.clock.now() < *next_report_) co_return false;
  const Json* at = find(*object_, {"status"});
  Json wanted = compute_status(pod_, facts_, now());
  if (status_differs(at ? *at : Json::object(), wanted)) {
    Json patch;
    patch["metadata"] = Json{{"uid", pod_.uid}};
    patch["status"] = std::move(wanted);
    client::WriteOptions options;
    options.subresource = "status";
    auto answer = co_await deps_.client.patch(k8s::resources::kPods, pod_.ns, pod_.name, client::PatchType::StrategicMerge, std::move(patch), options);
    if (!answer.ok()) {
      const auto& e = answer.error();
      if (k8s::is_not_found(e) || k8s::is_conflict(e)) {
        // Gone, or another pod has the name by now; the watch tells which, and a conflict may pass.
        if (k8s::is_not_found(e)) gone_ = true;
      } else {
        log::warning("pod {}: status not written: {}", pod_.key(), e.message);
      }
      if (gone_) co_return true;
      ++report_failures_;
      next_report_ = deps_.clock.now() + back_off(report_failures_, std::chrono::milliseconds(100), std::chrono::seconds(5));
      co_return false;
    }
    auto view = PodView::decode(*answer);
    if (view.ok()) {
      auto object = std::make_shared<const Json>(std::move(*answer));
      const bool newer = version_number(view->resource_version) >= version_number(pod_.resource_version);
      if (newer) pod_ = std::move(*view), object_ = std::move(object);
    }
  }
  report_failures_ = 0;
  next_report_.reset();
  co_return true;
}

Awaitable<bool> PodWorker::confirm_deletion() {
  const Options& options = deps_.options;
  const auto paths = paths_;
  const auto mark = holder();
  auto* store = &deps_.images.store();
  auto remove = [&options, paths, mark, store] { return remove_pod(options, paths, mark, *store); };
  auto removed = co_await blocking(remove);
  if (!removed.ok()) {
    log::warning("pod {}: {}", pod_.key(), removed.error().message);
    next_report_ = deps_.clock.now() + std::chrono::seconds(1);
    co_return false;
  }
  NV_FAILPOINT(kFolderRemoved);
  if (!gone_) {
    client::DeleteOptions del;
    del.grace_period_seconds = 0;
    del.uid = pod_.uid;
    auto deleted = co_await deps_.client.remove(k8s::resources::kPods, pod_.ns, pod_.name, del);
    if (!deleted.ok() && !k8s::is_not_found(deleted.error()) && !k8s::is_conflict(deleted.error())) {
      log::warning("pod {}: not deleted: {}", pod_.key(), deleted.error().message);
      ++report_failures_;
      next_report_ = deps_.clock.now() + back_off(report_failures_, std::chrono::milliseconds(100), std::chrono::seconds(5));
      co_return false;
    }
  }
  stage_ = Stage::Gone;
  log::info("pod {} is gone", pod_.key());
  co_return true;
}

Awaitable<void> PodWorker::housekeeping() {
  auto self = shared_from_this();
  if (stage_ != Stage::Running) co_return;
  const auto paths = paths_;
  const auto pod = pod_;
  auto check = [paths, pod] {
    trim_log(paths.log());
    return overused_empty_dirs(paths, pod);
  };
  const auto over = co_await blocking(check);
  if (!over.empty())
    evict("Evicted", fmt::format("Usage of EmptyDir volume \"{}\" exceeds the limit \"{}\": {} bytes are used.", over[0].volume, over[0].limit, over[0].used));
}

}  // namespace nodevirt::podrunner
