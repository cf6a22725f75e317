#include "standalone/supervisor/spawn.hpp"

#include <csignal>
#include <fcntl.h>
#include <grp.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace nodevirt::supervisor {
namespace {

constexpr off_t kLogLimit = 16 << 20;
constexpr int kFirstDescriptor = 3;

struct Child {
  const Program& program;
  int self, log;
  pki::Owner user;
  pid_t parent;
  std::vector<char*> argv;
};

[[noreturn]] void fail(const char* what) {
  dprintf(2, "nodevirt: %s: %s\n", what, strerror(errno));
  _exit(126);
}

/// After fork in a process of one thread: free to call what it likes.
[[noreturn]] void become(const Child& c) {
  setpgid(0, 0);   // Ctrl-C in the terminal is for the supervisor alone
  if (dup2(c.log, 1) < 0 || dup2(c.log, 2) < 0) _exit(126);
  int null = open("/dev/null", O_RDONLY);
  if (null < 0 || dup2(null, 0) < 0) fail("open /dev/null");
  if (c.program.netns >= 0 && setns(c.program.netns, CLONE_NEWNET) != 0) fail("enter the node's network namespace");
  // Two steps, because a wanted number may be in use as the source of another.
  std::vector<int> high;
  for (int fd : c.program.descriptors) high.push_back(fcntl(fd, F_DUPFD_CLOEXEC, 200));
  int self = fcntl(c.self, F_DUPFD_CLOEXEC, 200);
  for (std::size_t i = 0; i < high.size(); ++i)
    if (high[i] < 0 || dup2(high[i], kFirstDescriptor + static_cast<int>(i)) < 0) fail("hand over a descriptor");
  const int first_free = kFirstDescriptor + static_cast<int>(high.size());
  if (self > first_free) syscall(SYS_close_range, first_free, self - 1, 0);
  syscall(SYS_close_range, self + 1, ~0u, 0);
  if (!c.program.privileged) {
    if (setgroups(1, &c.user.gid) != 0 || setresgid(c.user.gid, c.user.gid, c.user.gid) != 0 ||
        setresuid(c.user.uid, c.user.uid, c.user.uid) != 0)
      fail("take the identity of the user nodevirt");
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) fail("give up new privileges");
  }
  // A change of identity clears this setting, so it comes after.
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != c.parent) _exit(126);
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  signal(SIGPIPE, SIG_DFL);
  umask(0022);
  if (chdir("/") != 0) fail("change to /");
  syscall(SYS_execveat, self, "", c.argv.data(), environ, AT_EMPTY_PATH);
  fail("execute this binary");
}

}  // namespace

Result<Spawned> spawn(const Program& program, const Fd& self, const Fd& log, const pki::Owner& control_user) {
  Child c{program, self.get(), log.get(), control_user, getpid(), {}};
  static char name[] = "nodevirt";
  c.argv.push_back(name);
  for (const std::string& a : program.args) c.argv.push_back(const_cast<char*>(a.c_str()));
  c.argv.push_back(nullptr);
  pid_t pid = fork();
  if (pid < 0) return errno_error(errno, "fork for " + program.name);
  if (pid == 0) become(c);
  return Spawned{pid};
}

Result<Fd> open_log(const std::filesystem::path& path, const pki::Owner& owner) {
  struct stat s{};
  if (stat(path.c_str(), &s) == 0 && s.st_size > kLogLimit) rename(path.c_str(), (path.string() + ".old").c_str());
  Fd fd(open(path.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0640));
  if (!fd) return errno_error(errno, "open " + path.string());
  if (geteuid() == 0 && fchown(fd.get(), owner.uid, owner.gid) != 0) return errno_error(errno, "chown " + path.string());
  return fd;
}

std::string last_lines(const std::filesystem::path& path, int lines) {
  Fd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd) return "";
  off_t size = lseek(fd.get(), 0, SEEK_END), from = std::max<off_t>(0, size - 8192);
  std::string text(static_cast<std::size_t>(size - from), '\0');
  ssize_t n = pread(fd.get(), text.data(), text.size(), from);
  text.resize(n > 0 ? static_cast<std::size_t>(n) : 0);
  while (!text.empty() && text.back() == '\n') text.pop_back();
  std::size_t at = text.size();
  for (int i = 0; i < lines && at != std::string::npos && at > 0; ++i) at = text.rfind('\n', at - 1);
  return at == std::string::npos || at == 0 ? text : text.substr(at + 1);
}

}  // namespace nodevirt::supervisor
