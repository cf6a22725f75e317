// VirtualMachineInstance as the launcher, virt-handler, virt-controller and admission read it: only the
// fields that our code looks at. Writes never go through this view (they are patches on the stored JSON).
#pragma once
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "api/vmi/devices.hpp"
#include "api/vmi/domain_spec.hpp"
#include "api/vmi/volume.hpp"
#include "pkg/base/json.hpp"
#include "pkg/base/result.hpp"

namespace nodevirt::api {

struct Metadata {
  std::string name, namespace_, uid, resource_version;
  std::int64_t generation = 0;
  std::map<std::string, std::string> labels, annotations;
  std::vector<std::string> finalizers;
  std::string creation_timestamp, deletion_timestamp;  ///< RFC 3339; empty: not set
};

struct AccessCredential {
  std::string kind;         ///< sshPublicKey | userPassword
  std::string secret_name;
  std::string propagation;  ///< noCloud | configDrive | qemuGuestAgent
  std::vector<std::string> users;
};

struct DomainSpec {
  Resources resources;
  std::optional<Cpu> cpu;
  std::optional<Memory> memory;
  std::string machine_type;  ///< empty: q35
  std::optional<Firmware> firmware;
  std::optional<Clock> clock;
  Features features;
  Devices devices;
  std::optional<Chassis> chassis;
  std::string io_threads_policy;
  bool launch_security = false;
  std::string reboot_policy;
};

struct InstanceSpec {
  DomainSpec domain;
  std::vector<Volume> volumes;
  std::vector<Network> networks;
  std::string hostname, subdomain, architecture;
  std::string eviction_strategy, start_strategy;  ///< start_strategy: Paused or empty
  std::optional<std::int64_t> termination_grace_period_seconds;
  std::map<std::string, std::string> node_selector;
  std::string scheduler_name, priority_class_name, service_account_name, dns_policy;
  std::vector<AccessCredential> access_credentials;
  /// Copied into the pod as they are; null when absent.
  Json affinity, tolerations, topology_spread_constraints, dns_config, liveness_probe, readiness_probe;
};

struct Condition {
  std::string type, status, reason, message, last_transition_time, last_probe_time;
};

struct InterfaceStatus {
  std::string name, interface_name, mac, ip, info_source;
  std::vector<std::string> ips;
};

struct InstanceStatus {
  std::string phase;      ///< empty | Pending | Scheduling | Scheduled | Running | Succeeded | Failed | ...
  std::string reason, node_name;
  std::vector<Condition> conditions;
  std::vector<InterfaceStatus> interfaces;
  std::map<std::string, std::string> active_pods;  ///< pod uid -> node name
  std::string machine_type, revision_name, evacuation_node_name, launcher_version;
  Json phase_transition_timestamps;                ///< as stored; null when absent
};

struct Instance {
  Metadata metadata;
  InstanceSpec spec;
  InstanceStatus status;

  /// "namespace/name", as the work queues use it.
  std::string key() const { return metadata.namespace_ + "/" + metadata.name; }
  bool deleting() const { return !metadata.deletion_timestamp.empty(); }
  bool final_phase() const { return status.phase == "Succeeded" || status.phase == "Failed"; }
  const Condition* condition(std::string_view type) const;
  const Volume* volume(std::string_view name) const;
};

/// The view of one VirtualMachineInstance. An absent or null field has its empty value. A field of a
/// wrong type, a quantity that is none, or a list of more than 1000 items is InvalidArgument, and the
/// message begins with the field's path ("spec.domain.cpu.cores: must be a whole number ...").
Result<Instance> decode_instance(const Json& object);
/// The same for a bare spec, for example a VM's template; `path` stands before the fields' paths in errors.
Result<InstanceSpec> decode_instance_spec(const Json& spec, std::string path = "spec");
/// metadata of any object.
Result<Metadata> decode_metadata(const Json& metadata, std::string path = "metadata");

/// What the instance's guest sees as its memory: memory.guest, or requests.memory, or limits.memory; in bytes.
/// 0 when none is given.
std::int64_t guest_memory_bytes(const DomainSpec& domain);
/// Cores, sockets and threads with defaults filled in; when only requests.cpu or limits.cpu is given, sockets
/// follow from it, rounded up.
struct Topology { std::uint32_t sockets = 1, cores = 1, threads = 1; std::uint32_t vcpus() const { return sockets * cores * threads; } };
Topology cpu_topology(const DomainSpec& domain);

}  // namespace nodevirt::api
