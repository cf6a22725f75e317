// A pod's begin: its folder, images, volumes and network, its container, and the probes that tell whether it is ready.
#include "standalone/podrunner/pod_worker.hpp"

#include "pkg/base/log.hpp"
#include "standalone/podrunner/pod_start.hpp"
#include "standalone/podrunner/probe.hpp"

namespace nodevirt::podrunner {

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

}  // namespace nodevirt::podrunner
