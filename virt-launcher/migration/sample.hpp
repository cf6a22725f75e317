// The job's statistics, as libvirt and as QEMU tell them, in the words of api/proto/launcher.proto.
#pragma once
#include "api/proto/launcher.pb.h"
#include "pkg/base/json.hpp"
#include "pkg/libvirt/domain.hpp"

namespace nodevirt::virt_launcher::migration {

namespace v1 = nodevirt::launcher::v1;

/// Of virDomainGetJobStats or the job-completed event (`completed`). The time is the caller's to set (stamp_now).
v1::MigrationSample sample_of(const libvirt::Parameters& stats, bool completed);
/// Of QMP's query-migrate.
v1::MigrationSample sample_of_qmp(const Json& query_migrate);
/// What QMP's query-block-jobs tells of the disks that are being copied (or follow the guest's writes). False, and nothing is
/// changed, when there are none.
bool add_copies(v1::MigrationSample& sample, const Json& query_block_jobs);
/// The last sample of a job that went well. `end` is as QEMU or libvirt told it, which may know nothing of the disks and
/// count only its own part of the time, or empty; `before` is the sample before. Completed: `end` had figures.
v1::MigrationSample final_sample(v1::MigrationSample end, const v1::MigrationSample& before);
void stamp_now(v1::MigrationSample& sample);

}  // namespace nodevirt::virt_launcher::migration
