#include "standalone/podrunner/pod_worker.hpp"

#include "pkg/base/log.hpp"
#include "pkg/k8s/status.hpp"
#include "standalone/podrunner/pod_start.hpp"

namespace nodevirt::podrunner {
namespace {

std::uint64_t version_number(const std::string& rv) { return std::strtoull(rv.c_str(), nullptr, 10); }

}  // namespace

PodWorker::PodWorker(Deps deps, Executor executor, PodView pod, std::shared_ptr<const Json> object, bool gone)
    : deps_(std::move(deps)), executor_(executor), pod_(std::move(pod)), object_(std::move(object)),
      paths_(deps_.options, pod_.uid, pod_.containers.empty() ? "none" : pod_.containers[0].name), wake_(executor), gone_(gone) {
  facts_.host_ip = deps_.options.node_ip;
  facts_.start_time = pod_.start_time.empty() ? now() : pod_.start_time;
  facts_.container.container_id = "nodevirt://" + pod_.uid;
}

Clock::Duration PodWorker::back_off(int failures, Clock::Duration first, Clock::Duration most) {
  auto d = first;
  for (int i = 1; i < failures && d < most; ++i) d *= 2;
  return std::min(d, most);
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
