// `nodevirt node`: one node of one machine, in that node's network namespace: pod runner, service proxy, resolver.
#include <csignal>
#include <iostream>
#include <thread>

#include <boost/asio/signal_set.hpp>

#include "pkg/base/file.hpp"
#include "pkg/base/log.hpp"
#include "pkg/client/kubeconfig.hpp"
#include "standalone/dns/server.hpp"
#include "standalone/nodes/cidr.hpp"
#include "standalone/podrunner/pod_runner.hpp"
#include "standalone/programs.hpp"
#include "standalone/services/proxy.hpp"
#include "standalone/supervisor/flags.hpp"

namespace nodevirt {
namespace {

struct NodeOptions {
  std::string kubeconfig, pods_range, cluster_pods_range, services_range, dns_address, host_table, nodes_range;
  std::string data_dir = "/var/lib/nodevirt", run_dir = "/run/nodevirt", program_dir = "/usr/local/lib/nodevirt";
  int node_count = 1, host_netns = -1, launcher_uid = 107, launcher_gid = 107, log_gid = 0;
  podrunner::Options runner;
};

std::vector<supervisor::Flag> flags_of(NodeOptions& o) {
  using namespace supervisor;
  constexpr int kMaxId = 2147483646;
  return {
      string_flag("node-name", 0, "NAME", "this node's name", o.runner.node_name),
      string_flag("node-ip", 0, "ADDRESS", "its address", o.runner.node_ip),
      string_flag("kubeconfig", 0, "FILE", "how to reach the API server", o.kubeconfig),
      string_flag("data-dir", 0, "DIR", "the instance's state", o.data_dir),
      string_flag("run-dir", 0, "DIR", "on a tmpfs: pods' network namespaces", o.run_dir),
      string_flag("program-dir", 0, "DIR", "holds virt-launcher and its monitor", o.program_dir),
      string_flag("launcher-image", 0, "IMAGE", "the only image that is run", o.runner.launcher_image),
      int_flag("launcher-uid", 0, "UID", "user of launchers", o.launcher_uid, 1, kMaxId),
      int_flag("launcher-gid", 0, "GID", "group of launchers", o.launcher_gid, 1, kMaxId),
      int_flag("log-gid", 0, "GID", "who may read container logs", o.log_gid, 0, kMaxId),
      string_flag("pod-cidr", 0, "RANGE", "addresses of this node's pods", o.pods_range),
      string_flag("cluster-pod-cidr", 0, "RANGE", "addresses of all pods", o.cluster_pods_range),
      string_flag("service-cidr", 0, "RANGE", "addresses of Services", o.services_range),
      string_flag("node-cidr", 0, "RANGE", "addresses of nodes", o.nodes_range),
      string_flag("dns-address", 0, "ADDRESS", "where the resolver answers", o.dns_address),
      int_flag("node-count", 0, "N", "how many nodes share this machine", o.node_count, 1, 64),
      int_flag("host-netns-fd", 0, "N", "the host's network namespace: images and foreign names are asked for there", o.host_netns, 0, 1 << 20),
      string_flag("host-table", 0, "NAME", "also keep the host's rules for Services, in this table", o.host_table),
  };
}

Result<void> check(const NodeOptions& o) {
  for (auto [flag, value] : {std::pair{"node-name", o.runner.node_name}, {"node-ip", o.runner.node_ip}, {"kubeconfig", o.kubeconfig}, {"pod-cidr", o.pods_range},
                             {"cluster-pod-cidr", o.cluster_pods_range}, {"service-cidr", o.services_range}, {"dns-address", o.dns_address}})
    if (value.empty()) return Error{Code::InvalidArgument, fmt::format("--{} is needed", flag)};
  for (const std::string& range : {o.pods_range, o.cluster_pods_range, o.services_range, o.nodes_range})
    if (!range.empty())
      if (auto c = nodes::Cidr::parse(range); !c.ok()) return c.error();
  if (!o.host_table.empty() && (o.host_netns < 0 || o.nodes_range.empty()))
    return Error{Code::InvalidArgument, "--host-table needs --host-netns-fd and --node-cidr"};
  return {};
}

std::int64_t machine_memory() {
  auto text = read_file("/proc/meminfo", 64 << 10);
  auto at = text.ok() ? text->find("MemTotal:") : std::string::npos;
  return at == std::string::npos ? std::int64_t{1} << 30 : std::strtoll(text->c_str() + at + 9, nullptr, 10) * 1024;
}

/// The machine's share of this node. A part of the memory is left to the machine itself.
podrunner::Options runner_options(const NodeOptions& o) {
  podrunner::Options r = o.runner;
  const std::int64_t memory = machine_memory(), kept = std::min<std::int64_t>(memory / 10, 512 << 20);
  r.data_dir = o.data_dir;
  r.run_dir = o.run_dir;
  r.program_dir = o.program_dir;
  r.launcher_uid = static_cast<unsigned>(o.launcher_uid);
  r.launcher_gid = static_cast<unsigned>(o.launcher_gid);
  r.log_gid = static_cast<gid_t>(o.log_gid);
  r.cpu = api::Quantity::milli(std::int64_t{1000} * std::max(1u, std::thread::hardware_concurrency()) / o.node_count);
  r.memory = api::Quantity::of((memory - kept) / o.node_count);
  r.cni.pod_cidr = o.pods_range;
  r.cluster_cidr = o.cluster_pods_range;
  r.masquerade = false;   // the host does it, at the edge: inside, everybody sees who asks
  r.cluster_dns = o.dns_address;
  images::FetchOptions fetch;
  fetch.netns_fd = o.host_netns;
  fetch.registries = r.data_dir / "registries";
  r.images = std::make_shared<images::Store>(images::Store::Options{.dir = r.data_dir / "images", .fetch = fetch});
  return r;
}

/// The resolver's view of the cluster.
class ViewRecords final : public dns::Records {
 public:
  explicit ViewRecords(const services::ClusterView& view) : view_(view) {}
  std::shared_ptr<const services::ServiceView> service(const std::string& ns, const std::string& name) const override { return view_.service(ns, name); }
  std::vector<std::shared_ptr<const services::SliceView>> slices(const std::string& ns, const std::string& service) const override {
    return view_.slices(ns, service);
  }
  std::vector<std::shared_ptr<const services::ServiceView>> services_at(const std::string& a) const override { return view_.services_at(a); }
  std::vector<std::shared_ptr<const services::SliceView>> slices_at(const std::string& a) const override { return view_.slices_at(a); }

 private:
  const services::ClusterView& view_;
};

dns::ServerOptions resolver_options(const NodeOptions& o) {
  dns::ServerOptions d;
  d.address = o.dns_address;
  d.upstreams = dns::upstreams_of(read_file("/etc/resolv.conf", 64 << 10).value_or(""));
  d.upstream_netns_fd = o.host_netns;
  std::vector<nodes::Cidr> own;
  for (const std::string& range : {o.cluster_pods_range, o.services_range})
    if (auto c = nodes::Cidr::parse(range); c.ok()) own.push_back(*c);
  d.zone.own_address = [own](const std::string& text) {
    auto address = nodes::parse_address(text);
    return address.ok() && std::any_of(own.begin(), own.end(), [&](const nodes::Cidr& c) { return c.contains(*address); });
  };
  return d;
}

std::vector<services::Proxy::Place> proxy_places(const NodeOptions& o) {
  services::RulesPlace here{.table = "nodevirt-services", .services_range = o.services_range, .dns_address = o.dns_address, .pods_range = o.pods_range,
                            .nodes_range = ""};
  std::vector<services::Proxy::Place> out{{here, -1}};
  if (!o.host_table.empty()) {
    services::RulesPlace host = here;
    host.table = o.host_table;
    host.pods_range = o.cluster_pods_range;
    host.nodes_range = o.nodes_range;
    out.push_back({host, o.host_netns});
  }
  return out;
}

int serve(const NodeOptions& o) {
  client::KubeconfigOptions where;
  where.path = o.kubeconfig;
  auto endpoint = client::load_kubeconfig(where);
  if (!endpoint.ok()) {
    log::error("{}", endpoint.error().message);
    return 1;
  }
  boost::asio::io_context io(1);
  auto transport = client::make_transport(io.get_executor(), *endpoint);
  if (!transport.ok()) {
    log::error("{}", transport.error().message);
    return 1;
  }
  client::Client api(*transport);
  Clock& clock = system_clock();
  StopSource stop;
  boost::asio::signal_set signals(io, SIGTERM, SIGINT);
  signals.async_wait([&stop](boost::system::error_code ec, int) {
    if (!ec) stop.request_stop();
  });

  services::ClusterView view(io.get_executor(), api, clock);
  services::Proxy proxy(view, clock, proxy_places(o));
  ViewRecords records(view);
  dns::Server resolver(io.get_executor(), resolver_options(o), records);
  podrunner::PodRunner runner(api, clock, runner_options(o));
  int left = 3;
  auto ended = [&](std::exception_ptr e) {
    if (e) std::rethrow_exception(e);
    stop.request_stop();
    if (--left == 0) {
      signals.cancel();
      io.stop();
    }
  };
  boost::asio::co_spawn(io, runner.run(stop.get_token()), ended);
  boost::asio::co_spawn(io, view.run(stop.get_token()), ended);
  boost::asio::co_spawn(io, proxy.run(stop.get_token()), ended);
  // A node without a resolver is still worth having.
  if (auto port = resolver.listen(); port.ok()) spawn(io.get_executor(), resolver.run(stop.get_token()), "resolver");
  else log::error("{}", port.error().message);
  io.run();
  return 0;
}

}  // namespace

int run_node(std::vector<std::string> args) {
  NodeOptions o;
  auto flags = flags_of(o);
  auto rest = supervisor::parse_flags(args, flags);
  if (!rest.ok() && rest.error().reason == "Help") {
    std::cout << supervisor::usage("nodevirt node [flags]", "Pod runner, service proxy and resolver of one node; `nodevirt up` starts it.", flags);
    return 0;
  }
  auto good = rest.ok() ? check(o) : Result<void>(rest.error());
  if (!good.ok()) {
    std::cerr << "nodevirt node: " << good.error().message << "\n";
    return 2;
  }
  log::init("node");
  return serve(o);
}

}  // namespace nodevirt
