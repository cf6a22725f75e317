// What a live migration may do: the effective settings of one, from the KubeVirt object, the matching
// MigrationPolicy and the request. Pure.
//
//   cluster_migration_config(KubeVirt object) -> apply_migration_policy(policy) -> apply_force(request)
//   -> to_json (status.migrationState.migrationConfiguration) and format_migration_settings (an annotation of the
//   VMI, for what KubeVirt's schema has no field for) -> read_migration_config, in virt-handler.
//
// Values of a wrong type or out of range are passed over: the value below them stands.
#pragma once
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "pkg/base/json.hpp"

namespace nodevirt::api {

/// On a MigrationPolicy: "0" to "99", how much of the guest's processor time the owner gives away at most. 0: none.
inline constexpr std::string_view kMaxThrottleAnnotation = "nodevirt.io/max-throttle-percent";
/// On a MigrationPolicy: AlwaysSafe, PreferSafe, AlwaysForced or PreferForced.
inline constexpr std::string_view kVirtualMachinePolicyAnnotation = "nodevirt.io/virtual-machine-policy";
/// On a VMIM: "true" or "false", whether the guest may be slowed down for it. Counts with the Prefer* policies.
inline constexpr std::string_view kForceAnnotation = "nodevirt.io/force";
/// On a VMI, by virt-controller together with status.migrationState: format_migration_settings().
inline constexpr std::string_view kMigrationSettingsAnnotation = "nodevirt.io/migration-settings";

/// May the guest be slowed down? Unset: as allowAutoConverge says, and a request's force wins.
/// Always* ignore the request, Prefer* follow it where it says something.
enum class VirtualMachinePolicy { Unset, AlwaysSafe, PreferSafe, AlwaysForced, PreferForced };
std::string_view to_string(VirtualMachinePolicy policy);   ///< "" for Unset
std::optional<VirtualMachinePolicy> virtual_machine_policy(std::string_view text);

/// experimental.stallDetector with KubeVirt's defaults.
struct StallDetectorConfig {
  double stall_margin = 0.04;                     ///< a fraction
  double ewma_alpha = 0.4;                        ///< of the bandwidth
  std::uint64_t stall_progress_timeout_s = 40;    ///< the window
  std::uint64_t switchover_timeout_s = 60;
  double precopy_possible_factor = 1.5;
  double patience_window_decay_factor = 0.5;
  bool search_local_minima = true;
  double completion_timeout_factor = 2;
  friend bool operator==(const StallDetectorConfig&, const StallDetectorConfig&) = default;
};

/// experimental.downtimeTuning with KubeVirt's defaults.
struct DowntimeTuningConfig {
  std::uint64_t initial_ms = 150;
  std::uint32_t steps = 7;
  std::uint32_t start_after_iteration = 3;
  std::uint32_t cooldown_s = 10;
  friend bool operator==(const DowntimeTuningConfig&, const DowntimeTuningConfig&) = default;
};

/// The effective values; the initial ones are KubeVirt's defaults.
struct MigrationConfig {
  std::uint32_t parallel_migrations_per_cluster = 5;
  std::uint32_t parallel_outbound_migrations_per_node = 2;
  std::uint64_t bandwidth_bytes_per_second = 0;         ///< 0: unlimited
  std::uint64_t completion_timeout_per_gib_s = 150;
  std::uint64_t progress_timeout_s = 150;               ///< 0: never
  std::uint64_t utility_volumes_timeout_s = 150;
  std::uint64_t max_downtime_ms = 900;                  ///< 1 to 2,000,000
  bool allow_auto_converge = false;
  bool allow_post_copy = false;
  bool allow_workload_disruption = false;
  bool unsafe_migration_override = false;
  bool disable_tls = false;
  std::optional<bool> match_selinux_level;              ///< matchSELinuxLevelOnMigration; handed on only
  std::string node_drain_taint_key = "kubevirt.io/drain";
  std::string network;                                  ///< empty: the pod network
  std::string compression;                              ///< "", "none" or "zstd"
  std::optional<StallDetectorConfig> stall_detector;    ///< only where somebody wrote it
  std::optional<DowntimeTuningConfig> downtime_tuning;  ///< only where somebody wrote it
  // Ours
  std::uint32_t max_throttle_percent = 99;              ///< 0 to 99
  VirtualMachinePolicy virtual_machine_policy = VirtualMachinePolicy::Unset;
  std::optional<bool> force;                            ///< what the request said
  std::string policy_name;                              ///< of the MigrationPolicy that was applied
  friend bool operator==(const MigrationConfig&, const MigrationConfig&) = default;
};

/// The cluster's: spec.configuration.migrations of the KubeVirt object; null (no such object) gives the defaults.
/// allowWorkloadDisruption follows allowPostCopy where it is not set.
MigrationConfig cluster_migration_config(const Json& kubevirt);

using LabelMap = std::map<std::string, std::string>;

/// The policy (metadata.name, spec.selectors) for an instance: all labels of both its selectors are there; among
/// several the one with the most labels, then with the most of the instance's own, then the first by name.
/// nullptr when none matches. A policy without `selectors` matches nothing, one with empty ones everything.
const Json* match_migration_policy(const std::vector<const Json*>& policies, const LabelMap& instance_labels,
                                   const LabelMap& namespace_labels);

/// `base` with what the policy sets in its spec and annotations, and the policy's name.
MigrationConfig apply_migration_policy(MigrationConfig base, const Json& policy);

/// `base` with allow_auto_converge as the VirtualMachinePolicy and the request's force settle it. With the ceiling
/// 0 it is never allowed.
MigrationConfig apply_force(MigrationConfig base, std::optional<bool> force);
/// The force of a VMIM's annotations: nothing when it is absent or no "true"/"false".
std::optional<bool> requested_force(const LabelMap& annotations);

/// What is wrong with our annotations of a MigrationPolicy, and with settings that exclude each other
/// (stallDetector with downtimeTuning). For admission; empty when all is well.
std::vector<std::string> check_migration_policy(const Json& policy);

/// KubeVirt's fields, every one of them set: status.migrationState.migrationConfiguration.
Json to_json(const MigrationConfig& config);
/// Our fields, as the text of kMigrationSettingsAnnotation:
/// {"uid","maxThrottlePercent","virtualMachinePolicy","force"}.
std::string format_migration_settings(std::string_view migration_uid, const MigrationConfig& config);
/// Both read back. `settings` of another migration, or broken, is as good as absent. What the configuration leaves
/// out has its default.
MigrationConfig read_migration_config(const Json& configuration, std::string_view settings,
                                      std::string_view migration_uid);

/// How many GiB KubeVirt counts for the completion timeout: memory and copied disks in decimal GB, rounded up,
/// at least 1.
std::uint64_t timeout_size(std::uint64_t memory_bytes, std::uint64_t copied_disk_bytes);

}  // namespace nodevirt::api
