#include "standalone/supervisor/up.hpp"

#include <csignal>
#include <fcntl.h>
#include <iostream>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "pkg/base/file.hpp"
#include "pkg/base/log.hpp"
#include "pkg/client/kubeconfig.hpp"
#include "standalone/nodes/machine_lock.hpp"
#include "standalone/nodes/userfaultfd.hpp"
#include "standalone/supervisor/control.hpp"
#include "standalone/supervisor/flags.hpp"
#include "standalone/supervisor/pods_left.hpp"
#include "standalone/supervisor/readiness.hpp"
#include "standalone/supervisor/supervise.hpp"

namespace nodevirt::supervisor {
namespace fs = std::filesystem;
namespace {

struct UpOptions {
  std::string data_dir = std::string(kDefaultDataDir), listen, launcher_image;
  nodes::WantedRanges ranges;
  int nodes = 0, wait_seconds = 60;
  bool detach = false;
  std::optional<bool> userfaultfd;   ///< as it was
};

/// Everything that is held while the instance runs.
struct Prepared {
  ProgramContext context;
  std::vector<Program> programs;
  std::vector<Fd> held;          ///< listeners and namespaces, named by number in the context
  Fd lock, control, self;
  std::uint16_t virt_controller_port = 0;
  bool fresh = false;            ///< there was no instance in the data directory
  bool networked = false;        ///< the network is (partly) made
  std::string server_url, ca_pem;
  Clock::Time began;
};

void say(const std::string& line) { std::cout << line << std::endl; }

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

/// A folder that is neither empty nor ours is somebody's.
Result<void> check_folder(const DataDir& data) {
  std::error_code error;
  if (fs::exists(data.instance())) return {};
  if (fs::exists(data.root) && !fs::is_directory(data.root)) return Error{Code::InvalidArgument, data.root.string() + " is no folder"};
  for (const auto& entry : fs::directory_iterator(data.root, error)) {
    const std::string name = entry.path().filename();
    // What an `up` that was interrupted before it wrote instance.json may have left, and images imported before it; how registries are
    // reached is the user's, and outlives a reset.
    for (const char* ours : {"run", "log", "pki", "images", "registries", "lost+found"})
      if (name == ours) goto next;
    if (name.starts_with("instance.json")) goto next;
    return Error{Code::FailedPrecondition, fmt::format("{} is not empty and holds no state of nodevirt (there is {}); name another folder with "
                                                       "--data-dir", data.root.string(), name)};
  next:;
  }
  return {};
}

/// What was stored, changed by what the command line says; nothing is written yet.
Result<Instance> settle(const UpOptions& o, const DataDir& data) {
  Instance i;
  auto stored = load_instance(data);
  const bool known = stored.ok();
  if (known) i = *stored;
  else if (stored.error().code != Code::NotFound) return stored.error();
  if (!o.listen.empty()) i.listen = o.listen;
  NV_TRY_VOID([&]() -> Result<void> { auto l = parse_listen(i.listen); if (!l.ok()) return l.error().with_context("--listen"); return {}; }());
  if (o.nodes > 0) i.nodes = o.nodes;
  if (o.userfaultfd) i.userfaultfd = *o.userfaultfd;
  i.most_nodes = std::max(i.most_nodes, i.nodes);
  for (int n = i.nodes + 1; n <= i.most_nodes; ++n)
    if (auto left = pods_left(data, fmt::format("node{}", n)); !left.empty())
      return Error{Code::FailedPrecondition, fmt::format("node{} still runs {} guest{}; start with --nodes {} and move or stop them first", n, left.size(),
                                                         left.size() == 1 ? "" : "s", i.most_nodes)};
  if (!known) {
    i.hash = nodes::instance_hash(data.root.string());
    i.named = data.root == kDefaultDataDir;
  }
  nodes::WantedRanges wanted = o.ranges;
  if (known) {
    for (auto [flag, now, given] : {std::tuple{"--node-cidr", i.ranges.nodes, wanted.nodes}, {"--pod-cidr", i.ranges.pods, wanted.pods},
                                    {"--service-cidr", i.ranges.services, wanted.services}})
      if (!given.empty() && given != now.to_string())
        return Error{Code::FailedPrecondition, fmt::format("{} is {} in {} and cannot be changed afterwards; `nodevirt reset` starts anew", flag,
                                                           now.to_string(), data.root.string())};
    NV_TRY(std::string clash, nodes::range_of_another(i.ranges, "nvbr" + i.hash));
    if (!clash.empty())
      return Error{Code::FailedPrecondition, fmt::format("{} is used by another instance that is up on this machine; stop that one first, or start anew "
                                                         "here with `nodevirt reset`", clash)};
  } else {
    NV_TRY(auto taken, nodes::taken_ranges("nvbr" + i.hash));
    NV_TRY(i.ranges, nodes::choose_ranges(wanted, taken));
  }
  return i;
}

Result<void> make_folders(const DataDir& data, const Users& users) {
  NV_TRY_VOID(make_dirs(data.root, 0755));
  NV_TRY_VOID(make_dirs(data.run(), 0755));
  NV_TRY_VOID(make_dirs(data.log(), 0755));
  NV_TRY_VOID(make_dirs(data.root / "nodes", 0755));
  NV_TRY_VOID(make_dirs(data.root / "volumes", 0755));
  NV_TRY_VOID(make_dirs(data.root / "images", 0755));
  NV_TRY_VOID(make_dirs(data.root / "apiserver", 0700));
  if (chown((data.root / "apiserver").c_str(), users.control.uid, users.control.gid) != 0)
    return errno_error(errno, "chown " + (data.root / "apiserver").string());
  return {};
}

/// Ports first: they are what most often is in the way, and nothing has been made yet.
Result<void> open_host_listeners(Prepared& p, const Instance& instance) {
  NV_TRY(ListenAddress at, parse_listen(instance.listen));
  NV_TRY(Fd main, listen_tcp(at.host, at.port, "--listen"));
  p.context.api_listeners.push_back(main.get());
  p.held.push_back(std::move(main));
  if (at.host != "127.0.0.1" && at.host != "0.0.0.0") {
    NV_TRY(Fd loopback, listen_tcp("127.0.0.1", at.port, "--listen"));
    p.context.api_listeners.push_back(loopback.get());
    p.held.push_back(std::move(loopback));
  }
  p.server_url = fmt::format("https://127.0.0.1:{}", at.port);
  NV_TRY(Fd api, listen_tcp("127.0.0.1", 0, ""));
  NV_TRY(Fd controller, listen_tcp("127.0.0.1", 0, ""));
  p.context.virt_api_port = port_of(api);
  p.virt_controller_port = port_of(controller);
  p.context.virt_api_listener = api.get();
  p.context.virt_controller_listener = controller.get();
  p.held.push_back(std::move(api));
  p.held.push_back(std::move(controller));
  return {};
}

Result<void> open_node_doors(Prepared& p, const nodes::Topology& t, std::uint16_t port) {
  for (const nodes::NodeNetwork& n : t.nodes) {
    NV_TRY(Fd ns, nodes::open_netns(n.netns));
    auto listener = nodes::in_netns(ns, [&] { return listen_tcp("127.0.0.1", port, ""); });
    if (!listener.ok()) return listener.error().with_context("in the network namespace of " + n.name);
    p.context.api_listeners.push_back(listener->get());
    p.held.push_back(std::move(*listener));
    p.context.node_netns.push_back(ns.get());
    p.held.push_back(std::move(ns));
  }
  NV_TRY(Fd host, nodes::own_netns());
  p.context.host_netns = host.get();
  p.held.push_back(std::move(host));
  return {};
}

Result<void> ensure_pki(Prepared& p, const Instance& instance, const nodes::Topology& t, const Users& users) {
  NV_TRY(ListenAddress at, parse_listen(instance.listen));
  pki::ClusterNames names{.listen_addresses = {at.host}, .service_address = t.kubernetes_address, .control_plane = users.control};
  for (const auto& n : t.nodes) names.nodes.push_back(n.name);
  pki::EnsureOptions o{.dir = p.context.data.pki(), .identities = pki::identities_of(names), .server_url = p.server_url,
                       .service_account_owner = users.control};
  const fs::path mine = p.context.data.kubeconfig();
  std::string existing = read_file(mine, 1 << 20).value_or("");
  NV_TRY_VOID(check_kubeconfig(mine.string(), existing, read_file(o.dir / "ca.crt", 64 << 10).value_or("")));
  NV_TRY(auto done, pki::ensure(o, system_clock().wall()));
  NV_TRY(p.ca_pem, read_file(o.dir / "ca.crt", 64 << 10));
  NV_TRY(std::string admin, read_file(o.dir / "admin.kubeconfig", 1 << 20));
  if (existing != admin) NV_TRY_VOID(write_file_atomic(mine, admin, 0600));
  if (done.new_authority) say("[ok] new certificates in " + o.dir.string());
  return {};
}

/// Said each time: nobody is to find out by chance.
Result<void> settle_userfaultfd(const Instance& instance, const std::string& bridge) {
  if (!instance.userfaultfd) return nodes::release_userfaultfd(bridge);
  NV_TRY(bool changed, nodes::hold_userfaultfd(bridge));
  say(fmt::format("[note] vm.unprivileged_userfaultfd is {}1 on this machine, as --allow-userfaultfd asked: every program may use userfaultfd",
                  changed ? "now " : ""));
  return {};
}

Result<void> prepare(Prepared& p, const UpOptions& o, const LinkedPrograms& linked) {
  p.began = system_clock().now();
  NV_TRY_VOID(require_root("nodevirt up"));
  NV_TRY_VOID(require_commands());
  NV_TRY(p.context.installation, find_installation());
  DataDir& data = p.context.data = data_dir_at(o.data_dir);
  NV_TRY_VOID(check_folder(data));
  // The lock comes before everything that writes, the ports before everything that stays.
  NV_TRY_VOID(make_dirs(data.root, 0755));
  NV_TRY_VOID(make_dirs(data.run(), 0755));
  NV_TRY(p.lock, take_lock(data));
  // Ranges that one instance has chosen are seen by others when its bridge is up.
  NV_TRY(Fd choosing, nodes::lock_machine("networks"));
  NV_TRY(Instance instance, settle(o, data));
  NV_TRY_VOID(open_host_listeners(p, instance));
  NV_TRY(Users users, ensure_users());
  NV_TRY_VOID(check_control_plane_access(p.context.installation, data, users));
  p.fresh = !fs::exists(data.instance());
  if (p.fresh) NV_TRY_VOID(check_room(data.root));
  NV_TRY_VOID(make_folders(data, users));
  NV_TRY_VOID(save_instance(data, instance));
  const nodes::Topology t = instance.topology();
  NV_TRY_VOID(ensure_pki(p, instance, t, users));
  p.context.instance = instance;
  p.networked = true;
  NV_TRY_VOID(nodes::bring_up(t));
  choosing.reset();
  NV_TRY_VOID(settle_userfaultfd(instance, t.bridge));
  for (const auto& n : t.nodes) NV_TRY_VOID(make_dirs(data.node(n.name), 0755));
  NV_TRY(ListenAddress at, parse_listen(instance.listen));
  NV_TRY_VOID(open_node_doors(p, t, at.port));
  p.context.users = users;
  p.context.launcher_image = o.launcher_image.empty() ? "nodevirt.io/nodevirt/virt-launcher:latest" : o.launcher_image;
  p.programs = programs_of(p.context, linked);
  NV_TRY(p.control, listen_control(data));
  p.self.reset(open("/proc/self/exe", O_RDONLY | O_CLOEXEC));
  if (!p.self) return errno_error(errno, "open /proc/self/exe");
  return {};
}

/// Without guests the network is of no use to anybody.
void remove_idle_network(const DataDir& data, const Instance& instance) {
  if (!pods_left(data).empty()) return;
  if (auto gone = nodes::tear_down(instance.whole_topology()); !gone.ok()) log::warning("{}", gone.error().message);
}

/// After a failure: what was not there before goes again.
void clear_traces(Prepared& p) {
  const DataDir& data = p.context.data;
  if (!p.lock) return;
  if (p.networked) {
    p.held.clear();
    remove_idle_network(data, p.context.instance);
  }
  if (fs::exists(data.instance()) && !p.fresh) return;
  std::error_code ignored;
  if (p.fresh) {
    // A kubeconfig that is not of this authority is somebody's.
    const std::string ca = read_file(data.pki() / "ca.crt", 64 << 10).value_or("");
    const std::string mine = read_file(data.kubeconfig(), 1 << 20).value_or("");
    if (!ca.empty() && check_kubeconfig("", mine, ca).ok()) fs::remove(data.kubeconfig(), ignored);
    fs::remove_all(data.pki(), ignored);
    fs::remove_all(data.root / "apiserver", ignored);
    for (const auto& node : fs::directory_iterator(data.root / "nodes", ignored)) fs::remove(node.path(), ignored);
    for (const char* folder : {"nodes", "volumes", "images", "log"}) fs::remove(data.root / folder, ignored);   // when empty
    fs::remove(data.instance(), ignored);
  }
  fs::remove(data.control(), ignored);
  fs::remove(data.lock(), ignored);
  fs::remove(data.run(), ignored);
  fs::remove(data.root, ignored);   // only when empty
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
