#include "standalone/supervisor/supervise.hpp"

#include <csignal>
#include <fcntl.h>
#include <poll.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "pkg/base/log.hpp"
#include "standalone/supervisor/control.hpp"

namespace nodevirt::supervisor {
namespace {

using Steady = std::chrono::steady_clock;
constexpr auto kLasted = std::chrono::seconds(10);         // ran this long: its next end counts from one again
constexpr auto kStopPatience = std::chrono::seconds(8);    // then SIGKILL

struct Child {
  Program program;
  Fd log;
  int pid = -1;
  Steady::time_point started, next_start;
  int restarts = 0, failures = 0;
  bool wanted = true;
  std::string last_end;
};

std::string how_it_ended(int status) {
  if (WIFSIGNALED(status)) return fmt::format("killed by signal {}", WTERMSIG(status));
  return fmt::format("exit code {}", WEXITSTATUS(status));
}

class Supervisor {
 public:
  explicit Supervisor(SuperviseOptions options) : o_(std::move(options)) {
    for (const Program& p : o_.programs) children_.push_back(Child{.program = p});
    began_ = Steady::now();
  }

  int run() {
    sigset_t set;
    sigemptyset(&set);
    for (int s : {SIGCHLD, SIGTERM, SIGINT, SIGHUP}) sigaddset(&set, s);
    sigprocmask(SIG_BLOCK, &set, nullptr);
    signal(SIGPIPE, SIG_IGN);
    Fd signals(signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK));
    open_logs();
    while (!done_) {
      start_due();
      pollfd fds[2] = {{signals.get(), POLLIN, 0}, {o_.control.get(), POLLIN, 0}};
      poll(fds, 2, timeout_ms());
      signalfd_siginfo info;
      while (read(signals.get(), &info, sizeof info) == sizeof info) on_signal(static_cast<int>(info.ssi_signo));
      if (fds[1].revents & POLLIN) answer();
      reap();
      if (stopping_) push_stop();
    }
    return code_;
  }

 private:
  void open_logs() {
    for (Child& c : children_) {
      auto log = open_log(o_.data.log_of(c.program.name), c.program.privileged ? pki::Owner{} : o_.control_user);
      if (log.ok()) c.log = std::move(*log);
      else log::error("{}", log.error().message);
    }
  }

  void start_due() {
    if (stopping_) return;
    for (Child& c : children_) {
      if (c.pid > 0 || !c.wanted || Steady::now() < c.next_start) continue;
      auto spawned = spawn(c.program, o_.self, c.log, o_.control_user);
      c.started = Steady::now();
      if (spawned.ok()) {
        c.pid = spawned->pid;
        continue;
      }
      log::error("{}", spawned.error().message);
      c.next_start = Steady::now() + restart_delay(++c.failures + 1);
    }
  }

  int timeout_ms() const {
    auto next = Steady::time_point::max();
    for (const Child& c : children_)
      if (c.pid < 0 && c.wanted && !stopping_) next = std::min(next, c.next_start);
    if (stopping_) next = std::min(next, stop_deadline_);
    if (next == Steady::time_point::max()) return -1;
    auto ms = std::chrono::duration_cast<std::chrono::milliseconds>(next - Steady::now()).count() + 1;
    return static_cast<int>(std::clamp<long long>(ms, 0, 60000));
  }

  void on_signal(int signal) {
    if (signal == SIGTERM || signal == SIGINT || (signal == SIGHUP && o_.in_terminal)) begin_stop(0);
    else if (signal == SIGHUP) open_logs();
  }

  void reap() {
    if (o_.watched_child > 0) {
      int status = 0;
      if (waitpid(o_.watched_child, &status, WNOHANG) == o_.watched_child) {
        o_.watched_child = -1;
        int code = WIFEXITED(status) ? WEXITSTATUS(status) : 1;
        if (code != 0) begin_stop(code);
      }
    }
    for (Child& c : children_) {
      int status = 0;
      if (c.pid <= 0 || waitpid(c.pid, &status, WNOHANG) != c.pid) continue;
      c.pid = -1;
      c.last_end = how_it_ended(status);
      if (stopping_ || !c.wanted) continue;
      c.failures = Steady::now() - c.started > kLasted ? 1 : c.failures + 1;
      ++c.restarts;
      auto delay = restart_delay(c.failures);
      c.next_start = Steady::now() + delay;
      log::warning("{} ended ({}); it is started again{}; its log is {}", c.program.name, c.last_end,
                   delay.count() ? fmt::format(" in {} ms", delay.count()) : "", o_.data.log_of(c.program.name).string());
    }
  }

  /// Those who work for others go first; the API server goes last, so that the others can still write.
  void begin_stop(int code) {
    if (stopping_) return;
    stopping_ = true;
    code_ = code;
    stop_deadline_ = Steady::now() + kStopPatience;
    for (std::size_t i = 1; i < children_.size(); ++i)
      if (children_[i].pid > 0) kill(children_[i].pid, SIGTERM);
  }

  void push_stop() {
    bool others = false;
    for (std::size_t i = 1; i < children_.size(); ++i) others = others || children_[i].pid > 0;
    if (Steady::now() >= stop_deadline_) {
      for (Child& c : children_)
        if (c.pid > 0) kill(c.pid, SIGKILL);
      stop_deadline_ = Steady::now() + kStopPatience;
    }
    if (others) return;
    Child* first = children_.empty() ? nullptr : &children_.front();
    if (first && first->pid > 0) {
      if (!first_told_) kill(first->pid, SIGTERM);
      first_told_ = true;
      return;
    }
    if (o_.watched_child > 0) kill(o_.watched_child, SIGTERM);
    done_ = true;
  }

  Json status() const {
    Json list = Json::array();
    auto now = Steady::now();
    auto seconds = [&](Steady::time_point t) { return std::chrono::duration<double>(now - t).count(); };
    for (const Child& c : children_)
      list.push_back({{"name", c.program.name}, {"pid", c.pid}, {"uptimeSeconds", c.pid > 0 ? seconds(c.started) : 0.0},
                      {"restarts", c.restarts}, {"lastEnd", c.last_end}, {"wanted", c.wanted}});
    return {{"version", kVersion}, {"pid", getpid()}, {"uptimeSeconds", seconds(began_)}, {"server", o_.server_url},
            {"stopping", stopping_}, {"programs", list}};
  }

  void answer() {
    Fd peer(accept4(o_.control.get(), nullptr, nullptr, SOCK_CLOEXEC));
    if (!peer) return;
    timeval t{.tv_sec = 1, .tv_usec = 0};   // only root gets here, and it has its line ready
    setsockopt(peer.get(), SOL_SOCKET, SO_RCVTIMEO, &t, sizeof t);
    setsockopt(peer.get(), SOL_SOCKET, SO_SNDTIMEO, &t, sizeof t);
    char buffer[512];
    ssize_t n = recv(peer.get(), buffer, sizeof buffer, 0);
    std::string line(buffer, n > 0 ? static_cast<std::size_t>(n) : 0);
    while (!line.empty() && line.back() == '\n') line.pop_back();
    std::string out = dump_json(perform(line)) + "\n";
    (void)!send(peer.get(), out.data(), out.size(), MSG_NOSIGNAL);
  }

  Json perform(const std::string& line) {
    if (line == "status") return status();
    if (line == "stop") {
      begin_stop(0);
      return {{"ok", true}};
    }
    if (line.starts_with("stop-program ")) {
      for (Child& c : children_) {
        if (c.program.name != line.substr(13)) continue;
        c.wanted = false;
        if (c.pid > 0) kill(c.pid, SIGTERM);
        return {{"ok", true}};
      }
      return {{"error", "no such program"}};
    }
    return {{"error", "unknown request"}};
  }

  SuperviseOptions o_;
  std::vector<Child> children_;
  Steady::time_point began_, stop_deadline_;
  bool stopping_ = false, done_ = false, first_told_ = false;
  int code_ = 0;
};

}  // namespace

int supervise(SuperviseOptions options) { return Supervisor(std::move(options)).run(); }

}  // namespace nodevirt::supervisor
