#include "standalone/podrunner/sandbox.hpp"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <iterator>

#include "pkg/base/json.hpp"

namespace nodevirt::podrunner {
namespace {

/// Everything that the child needs, made before the fork: after it only system calls are allowed, in our own memory.
struct Prepared {
  std::vector<char*> argv, envp;
  int netns = -1, log = -1, null = -1, status = -1, hold = -1, seccomp = -1, report = -1;
  std::vector<int> tasks;
};

[[noreturn]] void fail(int report, int step) {
  const int message[2] = {step, errno};
  (void)!::write(report, message, sizeof message);
  ::_exit(127);
}

int above(int fd) { return fd < 0 ? fd : ::fcntl(fd, F_DUPFD_CLOEXEC, 16); }

[[noreturn]] void become_sandbox(const Prepared& p) {
  for (const int fd : p.tasks) (void)!::write(fd, "0", 1);
  const int log = above(p.log), null = above(p.null), status = above(p.status), hold = above(p.hold), seccomp = above(p.seccomp),
            report = above(p.report);
  if (::dup2(null, 0) < 0 || ::dup2(log, 1) < 0 || ::dup2(log, 2) < 0 || ::dup2(status, 3) < 0) fail(report, 3);
  if (::dup2(hold, 4) < 0 || (seccomp >= 0 && ::dup2(seccomp, 5) < 0)) fail(report, 3);
  // What remains above closes at exec; the report with it, which tells the parent that exec worked.
  ::syscall(SYS_close_range, seccomp >= 0 ? 6u : 5u, ~0u, 4u /* CLOSE_RANGE_CLOEXEC */);
  sigset_t none;
  sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  for (int s = 1; s < 32; ++s)
    if (s != SIGKILL && s != SIGSTOP) ::signal(s, SIG_DFL);
  const rlimit no_core{0, 0};
  ::setrlimit(RLIMIT_CORE, &no_core);
  ::umask(022);
  (void)!::chdir("/");
  ::execve(p.argv[0], p.argv.data(), p.envp.data());
  fail(report, 4);
}

[[noreturn]] void start_sandbox(const Prepared& p, pid_t parent) {
  // Dies with us until the sandbox' own process stands in the pod's namespace.
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (::getppid() != parent) ::_exit(127);
  if (::setns(p.netns, CLONE_NEWNET) != 0) fail(p.report, 1);
  ::setsid();
  const pid_t child = ::vfork();
  if (child < 0) fail(p.report, 2);
  if (child == 0) become_sandbox(p);
  const int message[2] = {0, child};
  (void)!::write(p.report, message, sizeof message);
  ::_exit(0);
}

std::vector<char*> pointers(const std::vector<std::string>& strings) {
  std::vector<char*> out;
  for (const auto& s : strings) out.push_back(const_cast<char*>(s.c_str()));
  out.push_back(nullptr);
  return out;
}

/// The sandbox' two processes: there are no others before its release. Over a move that is not a lone thread's of itself the kernel
/// takes some ten milliseconds (it waits for every processor): they go by while bwrap works.
void enter_groups(const SpawnRequest& request, pid_t shim) {
  std::vector<std::string> groups;
  std::copy_if(request.cgroups.begin(), request.cgroups.end(), std::back_inserter(groups), [](const auto& path) { return !path.ends_with("/tasks"); });
  if (groups.empty()) return;
  pid_t init = 0;
  for (int i = 0; i < 4000 && init == 0 && ::kill(shim, 0) == 0; ++i) {
    const timespec pause{0, 500000};
    if (i > 0) ::nanosleep(&pause, nullptr);
    init = read_sandbox_status(request.status).init;
  }
  for (const auto& path : groups)
    for (const pid_t pid : {shim, init}) {
      Fd group(::open(path.c_str(), O_WRONLY | O_CLOEXEC));
      const auto text = std::to_string(pid);
      if (group && pid > 0) (void)!::write(group.get(), text.data(), text.size());
    }
}

constexpr const char* kSteps[] = {"", "enter the pod's network namespace", "fork", "arrange descriptors", "execute bwrap (package bubblewrap)"};

}  // namespace

Result<pid_t> spawn_sandbox(const SpawnRequest& request) {
  Fd netns(::open(request.netns.c_str(), O_RDONLY | O_CLOEXEC));
  if (!netns) return errno_error(errno, "open " + request.netns);
  Fd log(::open(request.log.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW | O_CLOEXEC, 0640));
  if (!log) return errno_error(errno, "open " + request.log);
  Fd status(::open(request.status.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW | O_CLOEXEC, 0600));
  if (!status) return errno_error(errno, "open " + request.status);
  // Opened for both, its reader never sees its end: nobody's death lets the sandbox go on.
  ::unlink(request.hold.c_str());
  if (::mkfifo(request.hold.c_str(), 0600) != 0) return errno_error(errno, "make " + request.hold);
  Fd hold(::open(request.hold.c_str(), O_RDWR | O_NOFOLLOW | O_CLOEXEC));
  if (!hold) return errno_error(errno, "open " + request.hold);
  Fd null(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  int pipe_fds[2];
  if (::pipe2(pipe_fds, O_CLOEXEC) != 0) return errno_error(errno, "make a pipe");
  Fd from(pipe_fds[0]), to(pipe_fds[1]);
  const pid_t parent = ::getpid();
  std::vector<Fd> tasks;
  Prepared p;
  for (const auto& path : request.cgroups)
    if (path.ends_with("/tasks"))
      if (Fd fd(::open(path.c_str(), O_WRONLY | O_CLOEXEC)); fd) p.tasks.push_back(fd.get()), tasks.push_back(std::move(fd));
  p.argv = pointers(request.argv);
  p.envp = pointers(request.env);
  p.netns = netns.get(), p.log = log.get(), p.null = null.get(), p.status = status.get(), p.hold = hold.get();
  p.seccomp = request.seccomp_fd, p.report = to.get();

  const pid_t middle = ::vfork();
  if (middle < 0) return errno_error(errno, "fork");
  if (middle == 0) start_sandbox(p, parent);
  to.reset();
  pid_t child = 0;
  int step = 0, code = 0;
  int message[2];
  ssize_t n;
  while ((n = ::read(from.get(), message, sizeof message)) != 0) {
    if (n < 0 && errno == EINTR) continue;
    if (n != sizeof message) break;
    if (message[0] == 0) child = message[1];
    else step = message[0], code = message[1];
  }
  while (::waitpid(middle, nullptr, 0) < 0 && errno == EINTR) {}
  if (step != 0) return errno_error(code, kSteps[step]);
  if (child == 0) return Error(Code::Internal, "the sandbox could not be started");
  enter_groups(request, child);
  return child;
}

Result<void> release_sandbox(const std::string& hold) {
  Fd fd(::open(hold.c_str(), O_RDWR | O_NONBLOCK | O_NOFOLLOW | O_CLOEXEC));
  if (!fd) return errno == ENOENT ? Result<void>() : errno_error(errno, "open " + hold);
  if (::write(fd.get(), "", 1) != 1 && errno != EAGAIN) return errno_error(errno, "write " + hold);  // full: released often enough
  return {};
}

SandboxStatus parse_sandbox_status(std::string_view text) {
  SandboxStatus out;
  std::istringstream lines{std::string(text)};
  for (std::string line; std::getline(lines, line);) {
    auto json = parse_json(line);
    if (!json.ok() || !json->is_object()) continue;  // bwrap died within the line
    if (json->contains("child-pid")) out.init = static_cast<pid_t>(int_at(*json, {"child-pid"}));
    if (json->contains("exit-code")) out.exit_code = static_cast<int>(int_at(*json, {"exit-code"}));
  }
  return out;
}

SandboxStatus read_sandbox_status(const std::string& path) {
  auto text = read_file(path, 1 << 20);
  return text.ok() ? parse_sandbox_status(*text) : SandboxStatus{};
}

SandboxProcesses find_sandbox(const std::string& netns) {
  SandboxProcesses out;
  for (const auto& p : processes_in(namespace_id(netns))) {
    // Others enter the namespace for a moment to configure it (virt-handler): they are not the pod's.
    if (!p.own_pid_namespace && p.name != "bwrap") continue;
    out.all.push_back(p.pid);
    if (!p.own_pid_namespace) out.shim = p.pid;
    else if (inner_pid(p.pid) == 1) out.init = p.pid;
  }
  return out;
}

bool recover_netns(const std::string& netns, const SandboxStatus& status, const std::string& pod_uid) {
  if (namespace_id(netns)) return true;
  if (status.init <= 0 || status.exit_code) return false;
  const std::string proc = "/proc/" + std::to_string(status.init);
  auto environ = read_file(proc + "/environ", 1 << 20);
  if (!environ.ok() || environ->find("NODEVIRT_POD_UID=" + pod_uid) == std::string::npos || inner_pid(status.init) != 1) return false;
  std::error_code ec;
  std::filesystem::create_directories(std::filesystem::path(netns).parent_path(), ec);
  Fd file(::open(netns.c_str(), O_RDONLY | O_CREAT | O_CLOEXEC, 0444));
  return ::mount((proc + "/ns/net").c_str(), netns.c_str(), nullptr, MS_BIND, nullptr) == 0;
}

bool kill_sandbox(const std::string& netns, int attempts) {
  for (int i = 0;; ++i) {
    const auto found = find_sandbox(netns);
    if (!found.alive()) return true;
    if (i == attempts) return false;
    // PID 1 takes all others with it, and bwrap's outer process then notes the exit code; that one is
    // killed only when there is nothing left for it to wait for.
    bool inside = false;
    for (const auto pid : found.all)
      if (pid != found.shim) inside = true, ::kill(pid, SIGKILL);
    if (!inside && i > 5 && found.shim > 0) ::kill(found.shim, SIGKILL);
    const timespec pause{0, i == 0 ? 2000000 : 20000000};
    ::nanosleep(&pause, nullptr);
  }
}

}  // namespace nodevirt::podrunner
