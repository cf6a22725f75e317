#include "standalone/podrunner/node_agent.hpp"

#include <sys/utsname.h>

#include "pkg/base/file.hpp"
#include "pkg/base/log.hpp"
#include "pkg/k8s/status.hpp"
#include "standalone/podrunner/process_table.hpp"

namespace nodevirt::podrunner {
namespace {

constexpr auto kLeaseSeconds = 40;
constexpr auto kRenewEvery = std::chrono::seconds(10);
constexpr auto kStatusEvery = std::chrono::minutes(5);

Json labels_of(const Options& options, const MachineInfo& machine) {
  Json labels{{"kubernetes.io/hostname", options.node_name}, {"kubernetes.io/os", "linux"}, {"kubernetes.io/arch", machine.architecture},
              {"beta.kubernetes.io/os", "linux"}, {"beta.kubernetes.io/arch", machine.architecture}};
  for (const auto& [k, v] : options.labels) labels[k] = v;
  return labels;
}

Json resources_of(const Options& options) {
  return Json{{"cpu", options.cpu.to_string()}, {"memory", options.memory.to_string(true)}, {"pods", std::to_string(options.pods)}};
}

Awaitable<Result<Json>> register_node(client::Client client, const Options& options, const MachineInfo& machine) {
  auto node = co_await client.get(k8s::resources::kNodes, "", options.node_name);
  if (!node.ok() && k8s::is_not_found(node.error())) {
    node = co_await client.create(k8s::resources::kNodes, "", node_object(options, machine));
    if (node.ok()) log::info("registered node {}", options.node_name);
    co_return node;
  }
  if (!node.ok()) co_return node;
  // A node that was there before keeps what others wrote; what we say of it is brought up to date.
  Json patch;
  patch["metadata"]["labels"] = labels_of(options, machine);
  const Json* labels = find(*node, {"metadata", "labels"});
  bool same = labels != nullptr;
  for (const auto& [k, v] : patch["metadata"]["labels"].items()) same = same && labels->contains(k) && labels->at(k) == v;
  if (same) co_return node;
  co_return co_await client.patch(k8s::resources::kNodes, "", options.node_name, client::PatchType::Merge, std::move(patch));
}

Awaitable<Result<void>> write_status(client::Client client, Clock& clock, const Options& options, const MachineInfo& machine) {
  auto node = co_await register_node(client, options, machine);
  if (!node.ok()) co_return std::move(node).error();
  const Json* conditions = find(*node, {"status", "conditions"});
  Json patch;
  patch["status"] = node_status(options, machine, conditions ? *conditions : Json::array(), format_time(clock.wall()));
  client::WriteOptions write;
  write.subresource = "status";
  auto done = co_await client.patch(k8s::resources::kNodes, "", options.node_name, client::PatchType::StrategicMerge, std::move(patch), write);
  if (!done.ok()) co_return std::move(done).error();
  co_return Result<void>{};
}

Awaitable<Result<void>> renew_lease(client::Client client, Clock& clock, const Options& options) {
  Json patch;
  patch["spec"]["renewTime"] = format_micro_time(clock.wall());
  auto done = co_await client.patch(k8s::resources::kLeases, "kube-node-lease", options.node_name, client::PatchType::Merge, std::move(patch));
  if (done.ok()) co_return Result<void>{};
  if (!k8s::is_not_found(done.error())) co_return std::move(done).error();
  auto node = co_await client.get(k8s::resources::kNodes, "", options.node_name);
  if (!node.ok()) co_return std::move(node).error();
  Json lease{{"apiVersion", "coordination.k8s.io/v1"}, {"kind", "Lease"}};
  Json owner{{"apiVersion", "v1"}, {"kind", "Node"}, {"name", options.node_name}, {"uid", string_at(*node, {"metadata", "uid"})}};
  lease["metadata"] = Json{{"name", options.node_name}, {"namespace", "kube-node-lease"}};
  lease["metadata"]["ownerReferences"] = Json::array({owner});
  lease["spec"] = Json{{"holderIdentity", options.node_name}, {"leaseDurationSeconds", kLeaseSeconds}, {"renewTime", format_micro_time(clock.wall())}};
  auto created = co_await client.create(k8s::resources::kLeases, "kube-node-lease", lease);
  if (!created.ok() && k8s::is_not_found(created.error())) {
    Json ns{{"apiVersion", "v1"}, {"kind", "Namespace"}};
    ns["metadata"] = Json{{"name", "kube-node-lease"}};
    (void)co_await client.create(k8s::resources::kNamespaces, "", ns);
    created = co_await client.create(k8s::resources::kLeases, "kube-node-lease", lease);
  }
  if (!created.ok() && !k8s::is_already_exists(created.error())) co_return std::move(created).error();
  co_return Result<void>{};
}

}  // namespace

MachineInfo MachineInfo::read() {
  MachineInfo out;
  const auto line = [](const char* path) {
    auto text = read_file(path, 4096);
    return text.ok() ? text->substr(0, text->find('\n')) : std::string();
  };
  out.machine_id = line("/etc/machine-id");
  out.boot_id = podrunner::boot_id();
  utsname name{};
  if (::uname(&name) == 0) {
    out.kernel = name.release;
    const std::string machine = name.machine;
    out.architecture = machine == "x86_64" ? "amd64" : machine == "aarch64" ? "arm64" : machine;
  }
  auto release = read_file("/etc/os-release", 1 << 16);
  std::istringstream lines(release.ok() ? *release : "");
  for (std::string l; std::getline(lines, l);)
    if (l.starts_with("PRETTY_NAME=")) {
      out.os_image = l.substr(12);
      std::erase(out.os_image, '"');
    }
  return out;
}

Json node_object(const Options& options, const MachineInfo& machine) {
  Json node{{"apiVersion", "v1"}, {"kind", "Node"}};
  node["metadata"] = Json{{"name", options.node_name}, {"labels", labels_of(options, machine)}};
  if (!options.cni.pod_cidr.empty()) {
    node["spec"]["podCIDR"] = options.cni.pod_cidr;
    node["spec"]["podCIDRs"] = Json::array({options.cni.pod_cidr});
  }
  return node;
}

Json node_status(const Options& options, const MachineInfo& machine, const Json& old, const std::string& now) {
  Json status{{"capacity", resources_of(options)}, {"allocatable", resources_of(options)}};
  status["addresses"] = Json::array();
  if (!options.node_ip.empty()) status["addresses"].push_back(Json{{"type", "InternalIP"}, {"address", options.node_ip}});
  status["addresses"].push_back(Json{{"type", "Hostname"}, {"address", options.node_name}});
  status["nodeInfo"] = Json{{"machineID", machine.machine_id}, {"systemUUID", machine.machine_id}, {"bootID", machine.boot_id},
                            {"kernelVersion", machine.kernel}, {"osImage", machine.os_image}, {"containerRuntimeVersion", "nodevirt://0.1.0"},
                            {"kubeletVersion", "v1.31.0+nodevirt"}, {"kubeProxyVersion", ""}, {"operatingSystem", "linux"},
                            {"architecture", machine.architecture}};
  struct Condition {
    const char *type, *status, *reason, *message;
  };
  static constexpr Condition kConditions[] = {
      {"MemoryPressure", "False", "KubeletHasSufficientMemory", "the pod runner has sufficient memory available"},
      {"DiskPressure", "False", "KubeletHasNoDiskPressure", "the pod runner has no disk pressure"},
      {"PIDPressure", "False", "KubeletHasSufficientPID", "the pod runner has sufficient PID available"},
      {"Ready", "True", "KubeletReady", "the pod runner is posting ready status"}};
  status["conditions"] = Json::array();
  for (const auto& c : kConditions) {
    Json out{{"type", c.type}, {"status", c.status}, {"reason", c.reason}, {"message", c.message}, {"lastHeartbeatTime", now}, {"lastTransitionTime", now}};
    for (const auto& o : old)
      if (string_at(o, {"type"}) == c.type && string_at(o, {"status"}) == c.status) out["lastTransitionTime"] = string_at(o, {"lastTransitionTime"}, now);
    status["conditions"].push_back(std::move(out));
  }
  return status;
}

Awaitable<void> run_node_agent(client::Client client, Clock& clock, const Options& options, StopToken stop) {
  const auto machine = MachineInfo::read();
  auto next_status = clock.now();
  bool complained = false;
  while (!stop.stop_requested()) {
    Result<void> done;
    if (clock.now() >= next_status) {
      done = co_await write_status(client, clock, options, machine);
      if (done.ok()) next_status = clock.now() + kStatusEvery;
    }
    if (done.ok()) {
      done = co_await renew_lease(client, clock, options);
      if (!done.ok() && k8s::is_not_found(done.error())) next_status = clock.now();  // the Node was deleted: register again
    }
    if (!done.ok() && !complained) log::warning("node {}: {}", options.node_name, done.error().message);
    complained = !done.ok();
    const Clock::Duration pause = done.ok() ? Clock::Duration(kRenewEvery) : Clock::Duration(std::chrono::milliseconds(500));
    (void)co_await clock.sleep(pause, stop);
  }
}

}  // namespace nodevirt::podrunner
