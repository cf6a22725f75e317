// What Prometheus is told of migrations, with KubeVirt's names.
#pragma once
#include <string>

#include "virt-controller/migration/objects.hpp"

namespace nodevirt::virt_controller::migration {

/// In Prometheus' text format.
std::string metrics(const MigrationInformer& migrations);

}  // namespace nodevirt::virt_controller::migration
