// What the pod runner reads of a pod.
#pragma once
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "api/quantity.hpp"
#include "pkg/base/json.hpp"
#include "pkg/runtime/informer.hpp"

namespace nodevirt::podrunner {

struct VolumeMount {
  std::string name, path, sub_path;
  bool read_only = false;
};

struct ProbeView {
  enum class Kind { TcpSocket, HttpGet, Unsupported } kind = Kind::Unsupported;
  std::string host;             ///< empty: the pod's address
  std::string path = "/";
  std::vector<std::pair<std::string, std::string>> headers;
  int port = 0;
  int initial_delay = 0, period = 10, timeout = 1, success = 1, failure = 3;  ///< seconds, counts
};

struct HostPort {
  int host_port = 0, container_port = 0;
  std::string protocol = "tcp", host_ip;
};

struct ContainerView {
  std::string name, image, working_dir;
  std::vector<std::string> command, args;
  Json env = Json::array(), env_from = Json::array();
  std::vector<VolumeMount> mounts;
  std::vector<VolumeMount> devices;         ///< volumeDevices: path is the devicePath
  std::map<std::string, api::Quantity> requests, limits;
  std::optional<std::int64_t> run_as_user, run_as_group;
  bool privileged = false;
  bool read_only_root = false;
  std::optional<ProbeView> liveness, readiness, startup;
  bool has_lifecycle_hooks = false;
  std::vector<HostPort> host_ports;
  std::string termination_log = "/dev/termination-log", termination_policy = "File";
};

struct PodView {
  std::string ns, name, uid, resource_version;
  std::map<std::string, std::string> labels, annotations;
  std::string deletion_timestamp;
  std::string node, service_account, hostname, subdomain, dns_policy, restart_policy, phase;
  Json dns_config = Json::object();
  Json host_aliases = Json::array();
  bool host_network = false, host_pid = false, host_ipc = false;
  std::vector<ContainerView> containers;
  std::size_t init_containers = 0;
  Json volumes = Json::array();                 ///< as they stand in spec.volumes
  std::vector<std::string> readiness_gates, image_pull_secrets;
  std::optional<std::int64_t> run_as_user, run_as_group, fs_group;
  std::vector<std::int64_t> supplemental_groups;
  std::int64_t grace_seconds = 30;              ///< spec.terminationGracePeriodSeconds
  std::optional<std::int64_t> deletion_grace;   ///< metadata.deletionGracePeriodSeconds
  Json conditions = Json::array();              ///< status.conditions
  std::string start_time;                       ///< status.startTime

  std::string key() const { return ns + "/" + name; }
  bool finished() const { return phase == "Succeeded" || phase == "Failed"; }
  const Json* volume(const std::string& name) const;

  static Result<PodView> decode(const Json& pod);
};

/// Requests as the scheduler counts them; a limit stands for a request that is missing.
std::map<std::string, api::Quantity> pod_requests(const PodView& pod);
/// Guaranteed, Burstable or BestEffort.
std::string qos_class(const PodView& pod);

}  // namespace nodevirt::podrunner
