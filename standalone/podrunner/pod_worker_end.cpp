// A pod's end: SIGTERM and its grace, SIGKILL, the processes that must be gone, what is undone, the object's deletion.
#include "standalone/podrunner/pod_worker.hpp"

#include <signal.h>
#include <unistd.h>

#include "pkg/base/failpoint.hpp"
#include "pkg/base/log.hpp"
#include "pkg/k8s/status.hpp"
#include "standalone/podrunner/network_namespace.hpp"
#include "standalone/podrunner/pod_start.hpp"

namespace nodevirt::podrunner {
namespace {

NV_DECLARE_FAILPOINT(kEnded, "podrunner.container-ended");
NV_DECLARE_FAILPOINT(kSandboxDown, "podrunner.sandbox-down");
NV_DECLARE_FAILPOINT(kFolderRemoved, "podrunner.folder-removed");

}  // namespace

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

}  // namespace nodevirt::podrunner
