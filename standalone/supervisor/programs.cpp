#include "standalone/supervisor/program.hpp"

namespace nodevirt::supervisor {
namespace {

constexpr int kFirst = 3;   // the number of the first inherited descriptor
constexpr int kHandlerPort = 8186, kMigrationPort = 8188;

using Args = std::vector<std::string>;

void add(Args& args, std::string flag, std::string value) {
  args.push_back("--" + std::move(flag));
  args.push_back(std::move(value));
}

std::string pki(const ProgramContext& c, const std::string& file) { return (c.data.pki() / file).string(); }

Program apiserver(const ProgramContext& c) {
  Program p{.name = "apiserver", .title = "API server on https://" + c.instance.listen, .args = {"apiserver"}};
  add(p.args, "data-dir", (c.data.root / "apiserver").string());
  for (std::size_t i = 0; i < c.api_listeners.size(); ++i) add(p.args, "listen-fd", std::to_string(kFirst + static_cast<int>(i)));
  p.descriptors = c.api_listeners;
  add(p.args, "tls-cert", pki(c, "apiserver.crt"));
  add(p.args, "tls-key", pki(c, "apiserver.key"));
  add(p.args, "client-ca", pki(c, "ca.crt"));
  add(p.args, "proxy-client-cert", pki(c, "front-proxy.crt"));
  add(p.args, "proxy-client-key", pki(c, "front-proxy.key"));
  add(p.args, "service-account-key", pki(c, "sa.key"));
  add(p.args, "service-cidr", c.instance.ranges.services.to_string());
  for (const char* folder : {"crds", "rbac", "one-machine"}) add(p.args, "manifests", (c.installation.share / "manifests" / folder).string());
  add(p.args, "resolve-service", fmt::format("kubevirt/virt-api=127.0.0.1:{}", c.virt_api_port));
  add(p.args, "volumes-dir", (c.data.root / "volumes").string());
  return p;
}

Program virt_api(const ProgramContext& c) {
  Program p{.name = "virt-api", .title = "virt-api", .args = {"virt-api", "--register"}};
  add(p.args, "kubeconfig", pki(c, "virt-api.kubeconfig"));
  add(p.args, "listen-fd", std::to_string(kFirst));
  p.descriptors = {c.virt_api_listener};
  add(p.args, "tls-cert", pki(c, "virt-api.crt"));
  add(p.args, "tls-key", pki(c, "virt-api.key"));
  add(p.args, "ca", pki(c, "ca.crt"));
  return p;
}

Program virt_controller(const ProgramContext& c) {
  Program p{.name = "virt-controller", .title = "virt-controller", .args = {"virt-controller"}};
  add(p.args, "kubeconfig", pki(c, "virt-controller.kubeconfig"));
  add(p.args, "launcher-image", c.launcher_image);
  add(p.args, "launcher-uid", std::to_string(c.users.launcher.uid));
  add(p.args, "capability-cache-dir", (c.data.root / "qemu-capabilities").string());
  add(p.args, "listen-fd", std::to_string(kFirst));
  p.descriptors = {c.virt_controller_listener};
  return p;
}

Program node(const ProgramContext& c, const nodes::Topology& t, std::size_t i) {
  const nodes::NodeNetwork& n = t.nodes[i];
  Program p{.name = "node-" + n.name, .title = "node " + n.name, .args = {"node"}, .privileged = true, .netns = c.node_netns[i]};
  add(p.args, "node-name", n.name);
  add(p.args, "kubeconfig", pki(c, "node-" + n.name + ".kubeconfig"));
  add(p.args, "data-dir", c.data.root.string());
  add(p.args, "program-dir", c.installation.programs.string());
  add(p.args, "node-ip", n.address);
  add(p.args, "pod-cidr", n.pods.to_string());
  add(p.args, "cluster-pod-cidr", t.pods_range.to_string());
  add(p.args, "dns-address", t.dns_address);
  add(p.args, "service-cidr", t.services_range.to_string());
  add(p.args, "node-count", std::to_string(t.nodes.size()));
  add(p.args, "launcher-image", c.launcher_image);
  add(p.args, "launcher-uid", std::to_string(c.users.launcher.uid));
  add(p.args, "launcher-gid", std::to_string(c.users.launcher.gid));
  add(p.args, "log-gid", std::to_string(c.users.control.gid));
  add(p.args, "run-dir", run_dir_of(t.hash));
  // Every node asks the host's resolvers through the host's namespace; the first one also keeps the host's rules.
  add(p.args, "host-netns-fd", std::to_string(kFirst));
  p.descriptors = {c.host_netns};
  if (i == 0) {
    add(p.args, "host-table", t.table + "-services");
    add(p.args, "node-cidr", t.nodes_range.to_string());
  }
  return p;
}

Program virt_handler(const ProgramContext& c, const nodes::Topology& t, std::size_t i) {
  const nodes::NodeNetwork& n = t.nodes[i];
  const std::string state = (c.data.node(n.name) / "virt-handler").string();
  Program p{.name = "virt-handler-" + n.name, .title = "virt-handler of " + n.name, .args = {"virt-handler"}, .privileged = true,
            .netns = c.node_netns[i]};
  add(p.args, "node-name", n.name);
  add(p.args, "kubeconfig", pki(c, "virt-handler-" + n.name + ".kubeconfig"));
  add(p.args, "kubelet-root", c.data.node(n.name).string());
  add(p.args, "state-dir", state);
  add(p.args, "capability-cache-dir", (c.data.root / "qemu-capabilities").string());
  add(p.args, "launcher-uid", std::to_string(c.users.launcher.uid));
  add(p.args, "listen", fmt::format("{}:{}", n.address, kHandlerPort));
  add(p.args, "advertise-address", fmt::format("{}:{}", n.address, kHandlerPort));
  add(p.args, "migration-listen", fmt::format("{}:{}", n.address, kMigrationPort));
  add(p.args, "tls-cert", pki(c, "virt-handler-" + n.name + ".crt"));
  add(p.args, "tls-key", pki(c, "virt-handler-" + n.name + ".key"));
  add(p.args, "client-ca", pki(c, "ca.crt"));
  add(p.args, "agent-socket", state + "/agent.sock");
  if (!c.installation.probe_kernel.empty()) add(p.args, "kvm-probe-kernel", c.installation.probe_kernel.string());
  return p;
}

}  // namespace

std::string run_dir_of(const std::string& hash) { return "/run/nodevirt/" + hash; }

std::vector<Program> programs_of(const ProgramContext& c, const LinkedPrograms& linked) {
  std::vector<Program> all;
  const nodes::Topology t = c.instance.topology();
  if (linked.apiserver) all.push_back(apiserver(c));
  if (linked.virt_api) all.push_back(virt_api(c));
  if (linked.virt_controller) all.push_back(virt_controller(c));
  for (std::size_t i = 0; i < t.nodes.size(); ++i) {
    if (linked.node) all.push_back(node(c, t, i));
    if (linked.virt_handler) all.push_back(virt_handler(c, t, i));
  }
  return all;
}

}  // namespace nodevirt::supervisor
