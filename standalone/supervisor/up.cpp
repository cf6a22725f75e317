#include "standalone/supervisor/up.hpp"

#include <csignal>
#include <fcntl.h>
#include <iostream>
#include <sys/wait.h>
#include <unistd.h>

#include "pkg/base/log.hpp"
#include "pkg/client/kubeconfig.hpp"
#include "standalone/supervisor/control.hpp"
#include "standalone/supervisor/flags.hpp"
#include "standalone/supervisor/prepare.hpp"
#include "standalone/supervisor/readiness.hpp"
#include "standalone/supervisor/supervise.hpp"

namespace nodevirt::supervisor {
namespace {

std::vector<Flag> flags_of(UpOptions& o) {
  return {
      string_flag("data-dir", 0, "DIR", "where the state is kept (default /var/lib/nodevirt)", o.data_dir),
      string_flag("listen", 0, "ADDRESS:PORT", "where the API server listens (default 127.0.0.1:6443, then what it was)", o.listen),
      int_flag("nodes", 0, "N", "how many nodes this machine is to be (default 1, then what it was)", o.nodes, 1, nodes::kMaxNodes),
      switch_flag("detach", 'd', "run in the background; returns when everything is ready", o.detach),
      string_flag("launcher-image", 0, "IMAGE", "named in launcher pods (one machine: the installed programs are used)", o.launcher_image),
      {"allow-userfaultfd", 0, "", "set vm.unprivileged_userfaultfd=1 on this machine until `down`, for post-copy (default as before; =false: not)",
       [&o](const std::string& v) -> Result<void> {
         bool on = false;
         NV_TRY_VOID(switch_flag("", 0, "", on).set(v));
         o.userfaultfd = on;
         return {};
       }},
      string_flag("node-cidr", 0, "RANGE", "addresses of the nodes (default: the first free 10.233.N.0/24)", o.ranges.nodes),
      string_flag("pod-cidr", 0, "RANGE", "addresses of the pods (default: the first free from 10.234.0.0/16)", o.ranges.pods),
      string_flag("service-cidr", 0, "RANGE", "addresses of Services (default: the first free from 10.96.0.0/16)", o.ranges.services),
      int_flag("wait", 0, "SECONDS", "how long to wait until everything is ready (default 60)", o.wait_seconds, 1, 3600),
  };
}

/// `up --detach` may be said again: what is asked for is there.
bool runs_as_asked(const Prepared& p, const UpOptions& o) {
  auto instance = load_instance(p.context.data);
  if (!instance.ok() || (!o.listen.empty() && o.listen != instance->listen) || (o.nodes > 0 && o.nodes != instance->nodes) ||
      (o.userfaultfd && *o.userfaultfd != instance->userfaultfd))
    return false;
  auto answer = ask_control(p.context.data, "status");
  if (!answer.ok() || bool_at(*answer, {"stopping"})) return false;
  say(fmt::format("[ok] runs already (pid {}), {}\n  export KUBECONFIG={}", int_at(*answer, {"pid"}), string_at(*answer, {"server"}),
                  p.context.data.kubeconfig().string()));
  return true;
}

/// Why waiting is of no use: the supervisor is gone, or a program ends again and again. One that ends by itself has
/// said why, and says the same the next time; one that was killed may have met an accident.
std::string hopeless(const DataDir& data) {
  auto answer = ask_control(data, "status", std::chrono::seconds(2));
  if (!answer.ok()) return lock_holder(data) == 0 ? "the supervisor ended" : "";
  const Json* programs = find(*answer, {"programs"});
  if (!programs || !programs->is_array()) return "";
  for (const Json& p : *programs) {
    const std::string name = string_at(p, {"name"});
    const std::string end = string_at(p, {"lastEnd"});
    if (int_at(p, {"restarts"}) < (end.starts_with("exit code") && end != "exit code 0" ? 2 : 4)) continue;
    return fmt::format("{} does not stay up ({}){}; the end of {}:\n{}", name, end, room_note(data.root), data.log_of(name).string(),
                       last_lines(data.log_of(name), 5));
  }
  return "";
}

/// Nodes that there were once and that this `up` did not start.
Awaitable<void> forget_nodes(client::Client api, int first, int last) {
  for (int n = first; n <= last; ++n) {
    auto gone = co_await api.remove(k8s::resources::kNodes, "", fmt::format("node{}", n));
    if (gone.ok()) say(fmt::format("[ok] node{} is no more", n));
  }
}

/// The other side of the fork: says what is ready. Returns its exit code.
int report(Prepared& p, const UpOptions& o) {
  boost::asio::io_context io;
  client::KubeconfigOptions where;
  where.path = p.context.data.kubeconfig().string();
  auto endpoint = client::load_kubeconfig(where);
  if (!endpoint.ok()) return complain(endpoint.error());
  auto transport = client::make_transport(io.get_executor(), *endpoint);
  if (!transport.ok()) return complain(transport.error());
  ReadinessOptions r;
  r.milestones = milestones_of(p.programs, client::Client(*transport), io.get_executor(), p.ca_pem, p.context.virt_api_port, p.virt_controller_port);
  r.began = p.began;
  r.patience = std::chrono::seconds(o.wait_seconds);
  r.print = say;
  const DataDir data = p.context.data;
  r.hopeless = [data] { return hopeless(data); };
  int code = 1;
  auto task = [](ReadinessOptions options, DataDir where_data, client::Client api, Instance instance, int* out,
                 boost::asio::io_context* context) -> Awaitable<void> {
    auto done = co_await wait_until_ready(system_clock(), std::move(options));
    if (done.ok()) {
      *out = 0;
      co_await forget_nodes(api, instance.nodes + 1, instance.most_nodes);
      co_return;
    }
    Error e = done.error();
    if (e.code == Code::DeadlineExceeded)
      e.message += fmt::format("{}; the end of {}:\n{}", room_note(where_data.root), where_data.log_of(e.reason).string(), last_lines(where_data.log_of(e.reason), 5));
    complain(e);
    context->stop();   // a question may still hang
  };
  boost::asio::co_spawn(io, task(std::move(r), data, client::Client(*transport), p.context.instance, &code, &io), boost::asio::detached);
  io.run();
  if (code != 0) return code;
  double seconds = std::chrono::duration<double>(system_clock().now() - p.began).count();
  say(fmt::format("READY in {:.2f} s. To use it:\n  export KUBECONFIG={}", seconds, p.context.data.kubeconfig().string()));
  if (!o.detach) say("Ctrl-C stops the programs; guests run on and the next `nodevirt up` takes them over.");
  return 0;
}

int keep_running(Prepared& p, int watched_child) {
  SuperviseOptions s;
  s.programs = std::move(p.programs);
  s.data = p.context.data;
  s.control_user = p.context.users.control;
  s.self = std::move(p.self);
  s.control = std::move(p.control);
  s.watched_child = watched_child;
  s.server_url = p.server_url;
  s.in_terminal = watched_child > 0;
  const int code = supervise(std::move(s));
  // It never came up: what was made for it goes. (Ended by a signal or by `down`, the code is 0.)
  if (code != 0) {
    p.held.clear();
    remove_idle_network(p.context.data, p.context.instance);
  }
  return code;
}

int run_in_front(Prepared& p, const UpOptions& o) {
  if (auto noted = note_holder(p.lock, getpid()); !noted.ok()) return complain(noted.error());
  std::cout.flush();
  pid_t child = fork();
  if (child < 0) return complain(errno_error(errno, "fork"));
  if (child == 0) {
    p.lock.reset();
    setpgid(0, 0);
    _exit(report(p, o));
  }
  return keep_running(p, child);
}

int run_behind(Prepared& p, const UpOptions& o) {
  std::cout.flush();
  pid_t child = fork();
  if (child < 0) return complain(errno_error(errno, "fork"));
  if (child == 0) {
    setsid();
    auto log = open_log(p.context.data.log_of("supervisor"), {});
    int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (!log.ok() || dup2(null, 0) < 0 || dup2(log->get(), 1) < 0 || dup2(log->get(), 2) < 0) _exit(1);
    if (!note_holder(p.lock, getpid()).ok() || chdir("/") != 0) _exit(1);
    _exit(keep_running(p, -1));
  }
  p.lock.reset();
  p.control.reset();
  p.held.clear();
  int code = report(p, o);
  if (code == 0) return 0;
  kill(child, SIGTERM);   // nothing half-made
  waitpid(child, nullptr, 0);
  remove_idle_network(p.context.data, p.context.instance);
  return code;
}

}  // namespace

int complain(const Error& error) {
  std::cerr << "nodevirt: " << error.message << std::endl;
  return error.code == Code::InvalidArgument ? 2 : 1;
}

int up(std::vector<std::string> args, const LinkedPrograms& linked) {
  UpOptions o;
  auto flags = flags_of(o);
  auto rest = parse_flags(args, flags);
  if (!rest.ok() && rest.error().reason == "Help") {
    std::cout << usage("nodevirt up [flags]", "Starts everything on this machine, or takes over what runs after a crash.", flags);
    return 0;
  }
  if (!rest.ok()) return complain(rest.error());
  if (!rest->empty()) return complain({Code::InvalidArgument, "up takes no argument: " + rest->front()});
  log::init("supervisor");
  Prepared p;
  if (auto prepared = prepare(p, o, linked); !prepared.ok()) {
    if (o.detach && prepared.error().reason == "Running" && runs_as_asked(p, o)) return 0;
    clear_traces(p);
    return complain(prepared.error());
  }
  for (const std::string& note : notes()) say("[note] " + note);
  return o.detach ? run_behind(p, o) : run_in_front(p, o);
}

}  // namespace nodevirt::supervisor
