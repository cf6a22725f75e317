#include "virt-launcher/monitor/child.hpp"

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

namespace nodevirt::monitor {

long long monotonic_ms() {
  timespec t{};
  clock_gettime(CLOCK_MONOTONIC, &t);
  return static_cast<long long>(t.tv_sec) * 1000 + t.tv_nsec / 1000000;
}

void log_line(const char* level, const std::string& message) {
  timespec t{};
  clock_gettime(CLOCK_REALTIME, &t);
  tm broken{};
  gmtime_r(&t.tv_sec, &broken);
  char stamp[32];
  std::strftime(stamp, sizeof stamp, "%Y-%m-%dT%H:%M:%S", &broken);
  std::fprintf(stderr, "%s.%06ldZ %s virt-launcher-monitor %s\n", stamp, t.tv_nsec / 1000, level, message.c_str());
}

void Child::start() {
  std::vector<char*> args;
  for (auto& a : argv) args.push_back(a.data());
  args.push_back(nullptr);
  started_ms = monotonic_ms();
  pid = fork();
  if (pid < 0) {
    log_line("ERROR", "fork for " + title + ": " + std::strerror(errno));
    pid = 0;
    ended(127 << 8);
    return;
  }
  if (pid > 0) return;

  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  setpgid(0, 0);
  if (passed_fd >= 0) {
    if (passed_fd == 3) fcntl(3, F_SETFD, 0);
    else dup2(passed_fd, 3);
  }
  if (kept_fd >= 0 && dup2(kept_fd, 4) == 4) {  // it came after passed_fd: a higher one
    if (kept_fd == 4) fcntl(4, F_SETFD, 0);
    putenv(const_cast<char*>("NODEVIRT_KEPT_FD=4"));
  }
  if (quiet) {
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (null >= 0) dup2(null, 1), dup2(null, 2);
  }
  for (auto& e : environment) putenv(e.data());
  execvp(args[0], args.data());
  std::fprintf(stderr, "exec %s: %s\n", args[0], std::strerror(errno));
  _exit(127);
}

void Child::ended(int status) {
  long long now = monotonic_ms();
  bool short_life = now - started_ms < 1000;
  delay_ms = short_life ? (delay_ms ? std::min(delay_ms * 2, 5000LL) : 20) : 0;
  start_at_ms = now + delay_ms;
  pid = 0;
  ++exits;
  std::string how = WIFSIGNALED(status) ? "signal " + std::to_string(WTERMSIG(status))
                                        : "exit code " + std::to_string(WEXITSTATUS(status));
  log_line("WARNING", title + " ended with " + how + "; starting it again");
}

}  // namespace nodevirt::monitor
