#include "standalone/podrunner/support.hpp"

namespace nodevirt::podrunner {

std::optional<Refusal> unsupported(const PodView& pod, const std::string& launcher_image) {
  for (const auto& c : pod.containers)
    if (c.image != launcher_image)
      return Refusal{"UnsupportedImage",
                     fmt::format("container {} has the image {}: this node runs launcher pods of virtual machines only (image {})",
                                 c.name, c.image, launcher_image)};
  const auto refuse = [](std::string message) { return Refusal{"UnsupportedPod", std::move(message)}; };
  if (pod.containers.size() != 1) return refuse("this node runs pods with exactly one container");
  if (pod.init_containers > 0) return refuse("this node runs no init containers");
  if (pod.host_network || pod.host_pid || pod.host_ipc) return refuse("hostNetwork, hostPID and hostIPC are not offered by this node");
  if (pod.restart_policy != "Never") return refuse("restartPolicy must be Never, it is " + pod.restart_policy);
  const auto& c = pod.containers[0];
  if (c.command.empty()) return refuse("container " + c.name + " names no command");
  if (c.privileged) return refuse("privileged containers are not run by this node");
  if (c.run_as_user.value_or(pod.run_as_user.value_or(1)) == 0) return refuse("runAsUser 0 (root) is not offered by this node");
  if (c.has_lifecycle_hooks) return refuse("lifecycle hooks are not offered by this node");
  for (const auto& [what, probe] : {std::pair{"livenessProbe", &c.liveness}, {"readinessProbe", &c.readiness}, {"startupProbe", &c.startup}})
    if (*probe && (*probe)->kind == ProbeView::Kind::Unsupported)
      return refuse(std::string(what) + ": only tcpSocket and httpGet (scheme HTTP) are offered by this node");
  for (const auto& m : c.mounts) {
    if (!m.sub_path.empty()) return refuse("volumeMount " + m.name + ": subPath is not offered by this node");
    if (!pod.volume(m.name)) return refuse("volumeMount " + m.name + " names no volume");
    if (m.path.empty() || m.path[0] != '/' || m.path.find("/../") != std::string::npos || m.path.ends_with("/.."))
      return refuse("volumeMount " + m.name + " has the unusable path " + m.path);
  }
  for (const auto& d : c.devices) {
    if (!pod.volume(d.name)) return refuse("volumeDevice " + d.name + " names no volume");
    if (!d.path.starts_with("/dev/") || d.path.find("..") != std::string::npos) return refuse("volumeDevice " + d.name + ": the device path must be under /dev, it is " + d.path);
  }
  return std::nullopt;
}

std::optional<Refusal> does_not_fit(const PodView& pod, const std::vector<const PodView*>& others, const Allocatable& node) {
  if (static_cast<std::int64_t>(others.size()) + 1 > node.pods)
    return Refusal{"OutOfpods", fmt::format("Node didn't have enough resource: pods, requested: 1, used: {}, capacity: {}", others.size(), node.pods)};
  api::Quantity cpu, memory;
  for (const auto* other : others) {
    auto r = pod_requests(*other);
    cpu += r["cpu"];
    memory += r["memory"];
  }
  auto own = pod_requests(pod);
  const auto check = [&](const char* name, api::Quantity used, api::Quantity capacity) -> std::optional<Refusal> {
    auto total = used;
    total += own[name];
    if (own[name].zero() || total <= capacity) return std::nullopt;
    const bool milli = std::string_view(name) == "cpu";
    const auto number = [&](const api::Quantity& q) { return milli ? q.milli_value() : q.value(); };
    return Refusal{std::string("OutOf") + name, fmt::format("Node didn't have enough resource: {}, requested: {}, used: {}, capacity: {}", name,
                                                           number(own[name]), number(used), number(capacity))};
  };
  if (auto r = check("cpu", cpu, node.cpu)) return r;
  return check("memory", memory, node.memory);
}

}  // namespace nodevirt::podrunner
