// Live migration in libvirt's terms: the job, its statistics, its settings.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "pkg/libvirt/domain.hpp"

namespace nodevirt::libvirt {

/// A peer-to-peer migration. It leaves the guest paused at the target (VIR_MIGRATE_PAUSED), unless `post_copy`: libvirt has
/// not both. Addresses are unix sockets.
struct MigrationPlan {
  std::string destination_socket;  ///< of the target's libvirtd
  std::string memory_socket;       ///< the same path on both sides, as libvirt wants it
  std::string disk_socket;         ///< likewise; only with copied disks
  std::string xml;                 ///< the target's definition, live and persistent
  std::vector<std::string> copied_disks;  ///< target devices ("vda")
  bool copy_whole_chain = false;   ///< false: only what lies above the backing file
  std::uint64_t bandwidth_mib_per_second = 0;  ///< 0: unlimited
  unsigned parallel_connections = 0;           ///< 0: one stream
  bool auto_converge = false;
  unsigned throttle_initial = 0, throttle_increment = 0;  ///< percent; 0: QEMU's own
  bool post_copy = false;          ///< start_post_copy may be called; the guest runs at the target by itself
  bool xbzrle = false;
};

/// Blocks until the job is over, also when it is aborted. The job belongs to libvirtd: it goes on when this process ends.
/// Reason DaemonLost: the domain's own daemon has ended.
Result<void> migrate(const Domain& domain, const MigrationPlan& plan);

/// The definition that libvirt would send to a target.
Result<std::string> migratable_xml(const Domain& domain);

enum class JobType { None, Bounded, Unbounded, Completed, Failed, Cancelled };
struct JobStats {
  JobType type = JobType::None;
  Parameters values;  ///< VIR_DOMAIN_JOB_*
  bool active() const { return type == JobType::Bounded || type == JobType::Unbounded; }
};
/// Of the job that runs, or (completed) of the last one that succeeded; that can be asked for again.
Result<JobStats> job_stats(const Domain& domain, bool completed = false);

Result<void> abort_job(const Domain& domain);
/// Returns when no incoming migration's job is under way any more, without having asked again and again: libvirt lets even a
/// question wait for the end of that job (at most 30 s, then an error). Changes nothing, and asks QEMU nothing.
Result<void> await_incoming_job(const Domain& domain);
Result<void> start_post_copy(const Domain& domain);
Result<void> set_max_downtime(const Domain& domain, std::uint64_t ms);
/// 0: unlimited.
Result<void> set_migration_bandwidth(const Domain& domain, std::uint64_t mib_per_second);
/// Sets the guest's clock through its agent.
Result<void> sync_guest_time(const Domain& domain);

}  // namespace nodevirt::libvirt
