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
void stamp_now(v1::MigrationSample& sample);

}  // namespace nodevirt::virt_launcher::migration
