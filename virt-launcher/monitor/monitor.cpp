#include "virt-launcher/monitor/monitor.hpp"

#include <cerrno>
#include <climits>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "api/names.hpp"
#include "virt-launcher/monitor/libvirt_home.hpp"

namespace nodevirt::monitor {

namespace {

constexpr long long kGoodbyeMs = 20000;     // for the launcher to pass on how the guest ended
constexpr long long kQuitMs = 5000;         // for QEMU to quit after SIGTERM
constexpr long long kTearDownMs = 2000;     // for the launcher and libvirtd to end

// Every QEMU below this process: in a pod those are all there are. The launcher may be dead when one must go.
void signal_children_named(const char* prefix, int signal) {
  DIR* proc = opendir("/proc");
  if (!proc) return;
  while (dirent* e = readdir(proc)) {
    pid_t pid = static_cast<pid_t>(std::atoi(e->d_name));
    if (pid <= 1) continue;
    char path[64], line[512] = "";
    std::snprintf(path, sizeof path, "/proc/%d/stat", pid);
    FILE* f = std::fopen(path, "re");
    if (!f) continue;
    if (!std::fgets(line, sizeof line, f)) line[0] = 0;
    std::fclose(f);
    const char* name = std::strchr(line, '(');
    const char* rest = std::strrchr(line, ')');
    int parent = 0;
    if (!name || !rest || std::sscanf(rest, ") %*c %d", &parent) != 1) continue;
    if (parent == getpid() && std::strncmp(name + 1, prefix, std::strlen(prefix)) == 0) kill(pid, signal);
  }
  closedir(proc);
}

// virt-handler learns from it early which processes are this pod's. Without it the launcher's socket tells, later.
int listen_for_virt_handler(const std::string& directory) {
  int folder = open(directory.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC);
  if (folder < 0) return -1;
  std::string name(api::kMonitorSocket), preliminary = name + ".new";
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::snprintf(address.sun_path, sizeof address.sun_path, "/proc/self/fd/%d/%s", folder, preliminary.c_str());
  int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  unlinkat(folder, preliminary.c_str(), 0);
  if (fd >= 0 && (bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0 || listen(fd, 16) != 0 ||
                  renameat(folder, preliminary.c_str(), folder, name.c_str()) != 0)) {
    log_line("WARNING", "listen for virt-handler: " + std::string(std::strerror(errno)));
    close(fd);
    fd = -1;
  }
  close(folder);
  return fd;
}

// As recv; a descriptor that came along is the caller's.
ssize_t receive_with_descriptor(int socket, char* buffer, size_t size, int& fd) {
  iovec part{buffer, size};
  alignas(cmsghdr) char room[CMSG_SPACE(sizeof fd)];
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = room;
  message.msg_controllen = CMSG_LEN(sizeof fd);  // room for one, not for another that nobody would close
  ssize_t n = recvmsg(socket, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
  if (n <= 0) return n;
  for (cmsghdr* head = CMSG_FIRSTHDR(&message); head; head = CMSG_NXTHDR(&message, head))
    if (head->cmsg_level == SOL_SOCKET && head->cmsg_type == SCM_RIGHTS && head->cmsg_len >= CMSG_LEN(sizeof fd))
      std::memcpy(&fd, CMSG_DATA(head), sizeof fd);
  return n;
}

}  // namespace

int Monitor::run() {
  if (!prepare()) return kUsage;
  start_children();
  while (!done_) loop_once();
  return tear_down();
}

bool Monitor::prepare() {
  prctl(PR_SET_CHILD_SUBREAPER, 1);  // as the first process of a pid namespace it is that anyway
  sigset_t set;
  sigemptyset(&set);
  for (int s : {SIGTERM, SIGINT, SIGCHLD}) sigaddset(&set, s);
  sigprocmask(SIG_BLOCK, &set, nullptr);
  std::signal(SIGPIPE, SIG_IGN);
  signals_ = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
  fence_timer_ = timerfd_create(CLOCK_BOOTTIME, TFD_CLOEXEC | TFD_NONBLOCK);
  int pair[2];
  if (signals_ < 0 || fence_timer_ < 0 || socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0) {
    log_line("ERROR", std::string("prepare: ") + std::strerror(errno));
    return false;
  }
  control_ = pair[0];
  launcher_end_ = pair[1];
  fcntl(control_, F_SETFL, O_NONBLOCK);
  door_ = listen_for_virt_handler(options_.root + std::string(api::kSocketsDir));
  return true;
}

void Monitor::start_children() {
  std::string home = options_.root + std::string(api::kLibvirtDir), error;
  if (!prepare_libvirt_home(home, options_.root + std::string(api::kCapabilityCacheDir), error)) log_line("ERROR", error);
  if (options_.qemu_timeout) qemu_deadline_ms_ = monotonic_ms() + options_.qemu_timeout * 1000;

  libvirtd_.title = "libvirtd";
  libvirtd_.argv = {options_.libvirtd, "--timeout", "0"};
  libvirtd_.environment = libvirt_environment(home);

  launcher_.title = "virt-launcher";
  launcher_.argv = {options_.launcher, "--name", options_.name, "--namespace", options_.namespace_,
                    "--uid", options_.uid, "--monitor-fd", "3"};
  if (!options_.root.empty()) launcher_.argv.insert(launcher_.argv.end(), {"--root", options_.root});
  launcher_.argv.insert(launcher_.argv.end(), options_.launcher_args.begin(), options_.launcher_args.end());
  launcher_.environment = {"HOME=" + home, "XDG_RUNTIME_DIR=" + home + "/run", "XDG_CONFIG_HOME=" + home + "/config",
                           "XDG_CACHE_HOME=" + home + "/cache", "MALLOC_ARENA_MAX=2"};
  launcher_.passed_fd = launcher_end_;
  libvirtd_.start();
  launcher_.start();
}

int Monitor::wait_ms() const {
  long long next = LLONG_MAX;
  auto consider = [&](long long at) { if (at && at < next) next = at; };
  if (!libvirtd_.pid) consider(libvirtd_.start_at_ms);
  if (!launcher_.pid) consider(launcher_.start_at_ms);
  if (!qemu_seen_) consider(qemu_deadline_ms_);
  consider(kill_at_ms_);
  consider(linger_until_ms_);
  if (next == LLONG_MAX) return -1;
  long long left = next - monotonic_ms();
  return left < 0 ? 0 : static_cast<int>(left > 3600000 ? 3600000 : left);
}

void Monitor::loop_once() {
  pollfd fds[] = {{signals_, POLLIN, 0}, {control_, POLLIN, 0}, {fence_timer_, POLLIN, 0}, {door_, POLLIN, 0}};
  if (poll(fds, 4, wait_ms()) < 0 && errno != EINTR) {
    log_line("ERROR", std::string("poll: ") + std::strerror(errno));
    return end(kGuestCrashed, "poll failed");
  }
  check_fence();
  if (fds[1].revents & POLLIN) on_message();
  if (fds[3].revents & POLLIN)
    for (int visitor; (visitor = accept4(door_, nullptr, nullptr, SOCK_CLOEXEC)) >= 0;) close(visitor);
  if (fds[0].revents & POLLIN) on_signal();
  if (!done_) on_deadlines();
}

void Monitor::on_signal() {
  signalfd_siginfo info{};
  while (read(signals_, &info, sizeof info) == sizeof info)
    if (info.ssi_signo != SIGCHLD) begin_shutdown();
  reap();
}

void Monitor::reap() {
  for (;;) {
    int status = 0;
    pid_t pid = waitpid(-1, &status, WNOHANG);
    if (pid <= 0) return;
    if (pid == libvirtd_.pid) {
      libvirtd_.ended(status);
    } else if (pid == launcher_.pid) {
      bool usage = WIFEXITED(status) && WEXITSTATUS(status) == kUsage;
      launcher_.ended(status);
      if (usage && !qemu_seen_) end(kUsage, "virt-launcher refused its command line");
    } else if (pid == qemu_) {
      qemu_ = 0;
      bool well = WIFEXITED(status) && WEXITSTATUS(status) == 0;
      qemu_code_ = well || (shutting_down_ && kill_step_ > 0) ? kGuestEnded : kGuestCrashed;
      linger_until_ms_ = monotonic_ms() + kGoodbyeMs;
      if (send(control_, "gone", 4, MSG_DONTWAIT | MSG_NOSIGNAL) < 0) log_line("WARNING", "virt-launcher cannot be told that QEMU ended");
      log_line("INFO", WIFSIGNALED(status) ? "QEMU ended by signal " + std::to_string(WTERMSIG(status))
                                           : "QEMU ended with exit code " + std::to_string(WEXITSTATUS(status)));
    }
  }
}

void Monitor::on_message() {
  char buffer[128];
  for (;;) {
    int fd = -1;
    ssize_t n = receive_with_descriptor(control_, buffer, sizeof buffer - 1, fd);
    if (n <= 0) return;
    buffer[n] = 0;
    if (std::strcmp(buffer, "keep") == 0) {
      keep(fd);
      continue;
    }
    if (fd >= 0) close(fd);
    unsigned long long value = 0;
    if (std::sscanf(buffer, "qemu %llu", &value) == 1) {
      if (value <= 1 || value > INT_MAX || kill(static_cast<pid_t>(value), 0) != 0) continue;
      if (fenced_) {
        kill_qemu(SIGKILL);
        return end(kFenced, "the fence deadline passed");
      }
      qemu_ = static_cast<pid_t>(value);
      qemu_seen_ = true;
      linger_until_ms_ = 0;
      if (shutting_down_ && send(control_, "shutdown", 8, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
        log_line("WARNING", "virt-launcher cannot be told to shut the guest down");
    } else if (std::sscanf(buffer, "fence %llu", &value) == 1) {
      set_fence(value);
    } else if (std::sscanf(buffer, "stopped %llu", &value) == 1) {
      end(fenced_ ? kFenced : static_cast<int>(value & 0xff), "the guest has ended");
    }
  }
}

void Monitor::keep(int fd) {
  if (launcher_.kept_fd >= 0) close(launcher_.kept_fd);
  launcher_.kept_fd = fd;
}

void Monitor::check_fence() {
  unsigned long long expirations = 0;
  if (read(fence_timer_, &expirations, sizeof expirations) <= 0) return;
  if (qemu_seen_ && qemu_ <= 1) return end(qemu_code_, "QEMU is gone, and the fence deadline passed");
  log_line("ERROR", "the fence deadline passed without being renewed: killing QEMU");
  fenced_ = true;
  kill_qemu(SIGKILL);
  // One that nobody has told of yet must not live on, nor be started afterwards: the pod's end is the end of all.
  if (qemu_ <= 1) end(kFenced, "the fence deadline passed");
}

void Monitor::set_fence(unsigned long long boottime_ms) {
  check_fence();  // what comes after the deadline is too late, also when both are seen in one moment
  itimerspec when{};
  when.it_value.tv_sec = static_cast<time_t>(boottime_ms / 1000);
  when.it_value.tv_nsec = static_cast<long>(boottime_ms % 1000) * 1000000;
  if (timerfd_settime(fence_timer_, TFD_TIMER_ABSTIME, &when, nullptr) != 0)
    log_line("ERROR", std::string("set the fence: ") + std::strerror(errno));
}

void Monitor::on_deadlines() {
  long long now = monotonic_ms();
  if (!libvirtd_.pid && now >= libvirtd_.start_at_ms) libvirtd_.start();
  if (!launcher_.pid && now >= launcher_.start_at_ms) launcher_.start();
  if (!qemu_seen_ && qemu_deadline_ms_ && now >= qemu_deadline_ms_)
    return end(kNeverStarted, "no guest was started in time");
  if (kill_at_ms_ && now >= kill_at_ms_) {
    bool first = kill_step_++ == 0;
    log_line("WARNING", first ? "the guest did not shut down in its grace period: ending QEMU" : "killing QEMU");
    kill_qemu(first ? SIGTERM : SIGKILL);
    kill_at_ms_ = now + kQuitMs;
  }
  if (linger_until_ms_ && now >= linger_until_ms_)
    end(fenced_ ? kFenced : qemu_code_, "QEMU is gone, and virt-launcher did not say how it ended");
}

void Monitor::begin_shutdown() {
  if (shutting_down_) return;
  shutting_down_ = true;
  if (!qemu_seen_) return end(kGuestEnded, "asked to stop before a guest was started");
  log_line("INFO", "asked to stop: shutting the guest down");
  if (send(control_, "shutdown", 8, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
    log_line("WARNING", "virt-launcher cannot be told to shut the guest down");
  kill_at_ms_ = monotonic_ms() + options_.grace_period * 1000;
}

void Monitor::kill_qemu(int signal) {
  if (qemu_ > 1) kill(qemu_, signal);
  signal_children_named("qemu-system", signal);
}

void Monitor::end(int code, const char* why) {
  if (done_) return;
  done_ = true;
  exit_code_ = code;
  log_line("INFO", std::string(why) + "; ending with code " + std::to_string(code));
}

int Monitor::tear_down() {
  kill_qemu(SIGKILL);
  for (Child* c : {&launcher_, &libvirtd_})
    if (c->pid) kill(c->pid, SIGTERM);
  long long until = monotonic_ms() + kTearDownMs;
  for (;;) {
    int status = 0;
    pid_t pid;
    while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
      for (Child* c : {&launcher_, &libvirtd_})
        if (pid == c->pid) c->pid = 0;
    if (pid < 0) break;  // no children left
    long long left = until - monotonic_ms();
    if (left <= 0) {
      for (Child* c : {&launcher_, &libvirtd_})
        if (c->pid) kill(c->pid, SIGKILL);
      break;
    }
    pollfd fd{signals_, POLLIN, 0};
    if (poll(&fd, 1, static_cast<int>(left)) > 0) {
      signalfd_siginfo info{};
      while (read(signals_, &info, sizeof info) == sizeof info) {}
    }
  }
  return exit_code_;
}

}  // namespace nodevirt::monitor
