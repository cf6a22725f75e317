#include "pkg/base/process.hpp"

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "pkg/base/file.hpp"

extern char** environ;

namespace nodevirt {

namespace {

struct Pipe {
  Fd read, write;
};

Result<Pipe> make_pipe() {
  int fds[2];
  if (::pipe2(fds, O_CLOEXEC) != 0) return errno_error(errno, "pipe");
  Pipe p;
  p.read.reset(fds[0]);
  p.write.reset(fds[1]);
  return p;
}

struct Prepared {
  std::vector<std::string> env_text;
  std::vector<char*> argv, env;
  std::string path;
};

Prepared prepare(const Command& c) {
  Prepared p;
  for (char** e = environ; *e; ++e) {
    std::string_view item = *e;
    if (!c.env.contains(std::string(item.substr(0, item.find('='))))) p.env_text.emplace_back(item);
  }
  for (auto& [k, v] : c.env) p.env_text.push_back(k + "=" + v);
  for (auto& s : p.env_text) p.env.push_back(s.data());
  p.env.push_back(nullptr);
  for (auto& s : c.argv) p.argv.push_back(const_cast<char*>(s.c_str()));
  p.argv.push_back(nullptr);
  return p;
}

// Between vfork and exec: only system calls.
[[noreturn]] void child(const Command& c, const Prepared& p, int in, int out, int err, int report) {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  sigset_t none;
  sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  ::signal(SIGPIPE, SIG_DFL);
  int failed = 0;
  if (c.netns_fd >= 0 && ::setns(c.netns_fd, CLONE_NEWNET) != 0) failed = errno;
  if (!failed && (::dup2(in, 0) < 0 || ::dup2(out, 1) < 0 || ::dup2(err, 2) < 0)) failed = errno;
  if (!failed) {
    // Everything above 2 but the report pipe (close-on-exec itself) is closed.
    if (report > 3) ::syscall(SYS_close_range, 3, report - 1, 0);
    ::syscall(SYS_close_range, report + 1, ~0u, 0);
    ::execvpe(p.argv[0], p.argv.data(), p.env.data());
    failed = errno;
  }
  ssize_t ignored = ::write(report, &failed, sizeof failed);
  (void)ignored;
  ::_exit(127);
}

void keep(std::string& into, const char* data, std::size_t n, std::size_t limit) {
  if (into.size() < limit) into.append(data, std::min(n, limit - into.size()));
}

}  // namespace

Result<Finished> run_command(const Command& c) {
  if (c.argv.empty()) return Error(Code::InvalidArgument, "run a command: empty argument vector");
  const std::string& name = c.argv[0];
  Prepared prepared = prepare(c);
  NV_TRY(Pipe in, make_pipe());
  NV_TRY(Pipe out, make_pipe());
  NV_TRY(Pipe err, make_pipe());
  NV_TRY(Pipe report, make_pipe());

  pid_t pid = ::vfork();
  if (pid < 0) return errno_error(errno, "fork for " + name);
  if (pid == 0) child(c, prepared, in.read.get(), out.write.get(), err.write.get(), report.write.get());
  in.read.reset();
  out.write.reset();
  err.write.reset();
  report.write.reset();

  int exec_error = 0;
  ssize_t got = ::read(report.read.get(), &exec_error, sizeof exec_error);
  if (got == sizeof exec_error) {
    ::waitpid(pid, nullptr, 0);
    return errno_error(exec_error, "run " + name);
  }

  Finished result;
  std::string_view input = c.input;
  ::fcntl(in.write.get(), F_SETFL, O_NONBLOCK);
  if (input.empty()) in.write.reset();
  auto deadline = std::chrono::steady_clock::now() + c.timeout;
  char buffer[16384];
  while (out.read || err.read) {
    auto left = std::chrono::duration_cast<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now());
    if (left.count() <= 0) {
      ::kill(pid, SIGKILL);
      ::waitpid(pid, nullptr, 0);
      return Error(Code::DeadlineExceeded, "", fmt::format("run {}: not finished within {} ms", name, c.timeout.count()));
    }
    pollfd fds[3] = {{out.read.get(), POLLIN, 0}, {err.read.get(), POLLIN, 0}, {in.write.get(), POLLOUT, 0}};
    int ready = ::poll(fds, 3, static_cast<int>(std::min<long long>(left.count(), 1000)));
    if (ready <= 0) continue;
    auto drain = [&](pollfd& p, Fd& fd, std::string& into) {
      if (!p.revents) return;
      ssize_t n = ::read(fd.get(), buffer, sizeof buffer);
      if (n > 0) keep(into, buffer, static_cast<std::size_t>(n), c.max_output);
      else if (n == 0 || errno != EINTR) fd.reset();
    };
    drain(fds[0], out.read, result.out);
    drain(fds[1], err.read, result.err);
    if (fds[2].revents) {
      ssize_t n = ::write(in.write.get(), input.data(), input.size());
      if (n > 0) input.remove_prefix(static_cast<std::size_t>(n));
      if (input.empty() || (n < 0 && errno != EAGAIN && errno != EINTR)) in.write.reset();
    }
  }
  // A child may close its outputs and stay: the limit holds for its end too.
  Fd ended(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
  auto left = std::chrono::duration_cast<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now());
  pollfd end{ended.get(), POLLIN, 0};
  bool late = ended && ::poll(&end, 1, static_cast<int>(std::clamp<long long>(left.count(), 0, 1 << 30))) == 0;
  if (late) ::kill(pid, SIGKILL);
  int status = 0;
  while (::waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  if (late)
    return Error(Code::DeadlineExceeded, "", fmt::format("run {}: not finished within {} ms", name, c.timeout.count()));
  result.exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  return result;
}

Awaitable<Result<Finished>> async_run_command(Command command) {
  auto work = [command = std::move(command)] { return run_command(command); };
  co_return co_await blocking(std::move(work));
}

Result<std::string> check_output(const Command& command) {
  NV_TRY(Finished f, run_command(command));
  if (f.exit_code == 0) return std::move(f.out);
  while (!f.err.empty() && f.err.back() == '\n') f.err.pop_back();
  std::string_view tail = f.err;
  if (tail.size() > 600) tail.remove_prefix(tail.size() - 600);
  return Error(Code::Internal, "", fmt::format("{} exited with {}: {}", command.argv[0], f.exit_code, tail));
}

}  // namespace nodevirt
