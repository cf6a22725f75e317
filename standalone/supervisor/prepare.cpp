#include "standalone/supervisor/prepare.hpp"

#include <fcntl.h>
#include <iostream>
#include <sys/stat.h>
#include <unistd.h>

#include "pkg/base/log.hpp"
#include "standalone/nodes/machine_lock.hpp"
#include "standalone/nodes/userfaultfd.hpp"
#include "standalone/supervisor/control.hpp"
#include "standalone/supervisor/pods_left.hpp"

namespace nodevirt::supervisor {
namespace fs = std::filesystem;
namespace {

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

}  // namespace

void say(const std::string& line) { std::cout << line << std::endl; }

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

void remove_idle_network(const DataDir& data, const Instance& instance) {
  if (!pods_left(data).empty()) return;
  if (auto gone = nodes::tear_down(instance.whole_topology()); !gone.ok()) log::warning("{}", gone.error().message);
}

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

}  // namespace nodevirt::supervisor
