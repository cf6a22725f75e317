#include "virt-launcher/migration/release.hpp"

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <fstream>
#include <poll.h>
#include <sstream>
#include <sys/syscall.h>
#include <thread>
#include <unistd.h>

#include "pkg/base/failpoint.hpp"
#include "pkg/base/log.hpp"
#include "pkg/libvirt/qmp_client.hpp"
#include "virt-launcher/migration/sample.hpp"

namespace nodevirt::virt_launcher::migration {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;
using libvirt::QmpClient;

NV_DECLARE_FAILPOINT(kBeforeFreeze, "launcher-release-before-freeze");
NV_DECLARE_FAILPOINT(kFrozen, "launcher-release-frozen");
NV_DECLARE_FAILPOINT(kRecorded, "launcher-release-recorded");
NV_DECLARE_FAILPOINT(kKilled, "launcher-release-killed");

namespace {

constexpr std::string_view kQemu = "qemu-system";
constexpr auto kAnswer = 500ms;   // of a QEMU that may be ending; it is asked again, and the guest stands still meanwhile
constexpr auto kEnding = 200ms;   // for one that does not listen any more: it ends as soon as it has cleaned up
constexpr auto kCompletion = 3s;  // for QEMU to call the migration complete once the target has it all

Error not_yet(std::string message) { return {Code::Unavailable, "NotYet", std::move(message)}; }

constexpr unsigned kExiting = 0x4;  // PF_EXITING

struct Task {
  char state = 0;      // 0: there is none
  bool exits = false;  // it never returns to its program
};

// "12 (name) S ppid pgrp session tty tpgid flags ..."
Task task_in(const std::filesystem::path& stat) {
  std::ifstream in(stat);
  std::string line;
  std::getline(in, line);
  auto close = line.rfind(')');
  if (close == std::string::npos) return {};
  std::istringstream rest(line.substr(close + 1));
  Task t;
  std::string skipped;
  unsigned flags = 0;
  rest >> t.state >> skipped >> skipped >> skipped >> skipped >> skipped >> flags;
  t.exits = (flags & kExiting) || t.state == 'Z' || t.state == 'X';
  return t;
}

// Whether it is so of every thread; nothing when they cannot be listed. A thread that cannot be read may do anything.
std::optional<bool> tasks(pid_t pid, bool (*is)(const Task&)) {
  std::error_code ec, gone;
  bool any = false;
  for (std::filesystem::directory_iterator at(fmt::format("/proc/{}/task", pid), ec), end; !ec && at != end; at.increment(ec)) {
    Task task = task_in(at->path() / "stat");
    if (task.state == 0 && !std::filesystem::exists(at->path(), gone) && !gone) continue;  // it has ended just now
    if (task.state == 0 || !is(task)) return false;
    any = true;
  }
  return ec || !any ? std::nullopt : std::optional(true);
}

// What QEMU says of itself: nothing when the guest stands and the migration is complete, else the answer.
Result<std::optional<Release>> look(QmpClient& qmp, std::optional<v1::MigrationSample>& sample) {
  for (auto until = Clock::now() + kCompletion;;) {
    NV_TRY(Json status, qmp.execute("query-status", Json::object(), kAnswer));
    std::string word = string_at(status, {"status"});
    if (bool_at(status, {"running"}) || word == "running")
      return std::optional(Release{false, "the guest runs here", {}});
    NV_TRY(Json job, qmp.execute("query-migrate", Json::object(), kAnswer));
    std::string step = string_at(job, {"status"});
    if (step == "completed") {
      sample = sample_of_qmp(job);
      if (word == "postmigrate" || word == "finish-migrate" || word == "paused") return std::optional<Release>{};
      return Error(not_yet(fmt::format("QEMU is in the state {}", word)));
    }
    if (step.empty() || step == "none" || step == "failed" || step == "cancelled" || step == "cancelling")
      return std::optional(Release{false, fmt::format("QEMU's migration is {}", step.empty() ? "none" : step), {}});
    if (Clock::now() >= until) return Error(not_yet(fmt::format("QEMU's migration is {}", step)));
    std::this_thread::sleep_for(2ms);
  }
}

}  // namespace

Result<Process> Process::open(pid_t pid, std::string_view name) {
  if (pid == kUnknownProcess) return Error(Code::Unavailable, "the process could not be looked for");
  if (pid <= 1) return Error(Code::NotFound, "there is no process");
  Fd fd(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
  if (!fd) {
    if (errno == ESRCH || errno == EINVAL) return Error(Code::NotFound, "the process is gone");
    return errno_error(errno, "open the process");
  }
  // Read after the descriptor is held: what it says is of the process that the descriptor means.
  Process process(pid, std::move(fd));
  std::ifstream in(fmt::format("/proc/{}/comm", pid));
  std::string comm;
  std::getline(in, comm);
  char state = task_in(fmt::format("/proc/{}/stat", pid)).state;
  if ((comm.empty() || state == 0) && !process.wait_end(0ms)) return Error(Code::Unavailable, "what process it is cannot be read");
  if (!comm.starts_with(name) || state == 'Z' || state == 'X') return Error(Code::NotFound, "the process is gone");
  return process;
}

bool Process::signal(int number) const { return ::syscall(SYS_pidfd_send_signal, fd_.get(), number, nullptr, 0) == 0; }

bool Process::wait_end(std::chrono::milliseconds timeout) const {
  auto until = Clock::now() + timeout;
  for (;;) {
    auto left = std::chrono::ceil<std::chrono::milliseconds>(until - Clock::now()).count();
    pollfd p{fd_.get(), POLLIN, 0};
    int n = ::poll(&p, 1, left < 0 ? 0 : static_cast<int>(left));
    if (n > 0) return true;
    if (left <= 0) return false;
  }
}

bool Process::stopped() const {
  auto still = tasks(pid_, [](const Task& t) { return t.exits || t.state == 'T' || t.state == 't'; });
  return still.value_or(false) && !ends();
}

bool Process::ends() const {
  return tasks(pid_, [](const Task& t) { return t.exits; }).value_or(false) || wait_end(0ms);
}

bool Process::wait_ends(std::chrono::milliseconds timeout) const {
  for (auto until = Clock::now() + timeout;;) {
    if (ends()) return true;
    if (Clock::now() >= until) return false;
    std::this_thread::sleep_for(200us);
  }
}

bool Process::wait_stopped(std::chrono::milliseconds timeout) const {
  for (auto until = Clock::now() + timeout;;) {
    if (stopped()) return true;
    if (ends() || Clock::now() >= until) return false;
    std::this_thread::sleep_for(200us);
  }
}

Result<Release> release(pid_t pid, const std::filesystem::path& monitor, const std::function<Result<void>()>& record) {
  auto opened = Process::open(pid, kQemu);
  if (!opened.ok()) {
    if (opened.error().code != Code::NotFound) return opened.error();
    // It does not run and nothing starts it again: an instance runs once.
    NV_TRY_VOID(record());
    return Release{true, "", {}};
  }
  Process& qemu = *opened;
  if (qemu.ends()) return release(0, monitor, record);
  qemu.signal(SIGCONT);  // an earlier try may have ended between the freeze and its answer
  auto connected = QmpClient::connect(monitor, kAnswer);
  if (!connected.ok()) {
    if (qemu.wait_ends(kEnding)) return release(0, monitor, record);
    return not_yet(connected.error().message);
  }
  QmpClient& qmp = *connected;
  Release out;
  auto looked = look(qmp, out.sample);
  if (!looked.ok()) {
    if (qmp.closed() ? qemu.wait_ends(kEnding) : qemu.ends()) return release(0, monitor, record);
    return looked.error().reason == "NotYet" ? looked.error() : not_yet(looked.error().message);
  }
  if (*looked) return **std::move(looked);
  NV_FAILPOINT(kBeforeFreeze);

  qemu.signal(SIGSTOP);
  auto let_go = [&](Error why) {
    qemu.signal(SIGCONT);
    return why;
  };
  if (!qemu.wait_stopped(5s)) {
    if (qemu.ends()) return release(0, monitor, record);
    return let_go(not_yet("QEMU's threads do not stand still"));
  }
  NV_FAILPOINT(kFrozen);
  // QEMU tells RESUME to every monitor before a CPU moves, and it stood still when it was asked: no word, no step.
  auto events = qmp.drain_events();
  if (!events.ok()) return let_go(not_yet(events.error().message));
  if (std::find(events->begin(), events->end(), "RESUME") != events->end()) {
    qemu.signal(SIGCONT);
    return Release{false, "the guest went on here", {}};
  }
  if (auto durable = record(); !durable.ok()) return let_go(durable.error());
  NV_FAILPOINT(kRecorded);
  qemu.signal(SIGKILL);
  // Its memory may take seconds to be given back; that is not waited for.
  if (!qemu.wait_ends(10s)) return not_yet("QEMU was killed and does not end");
  NV_FAILPOINT(kKilled);
  out.released = true;
  return out;
}

Result<void> end_qemu(pid_t pid) {
  auto qemu = Process::open(pid, kQemu);
  if (!qemu.ok()) {
    if (qemu.error().code == Code::NotFound) return {};
    return qemu.error();
  }
  qemu->signal(SIGKILL);
  if (!qemu->wait_end(10s)) return not_yet("QEMU was killed and does not end");
  return {};
}

}  // namespace nodevirt::virt_launcher::migration
