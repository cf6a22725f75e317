// What a migration leaves in QEMU when libvirt dies in the middle of copying disks: mirror jobs, and the nodes that led
// to the target's copies. The next libvirtd does not look for them, and libvirt gives the next migration's the same names
// ("migration-vda-format", "migration-vda-storage").
#pragma once
#include <functional>
#include <string>
#include <vector>

#include "pkg/base/json.hpp"
#include "pkg/base/result.hpp"

namespace nodevirt::virt_launcher::migration {

/// One QMP command, its `return`.
using Execute = std::function<Result<Json>(std::string_view command, const Json& arguments)>;

/// Ends such jobs and removes such nodes; to be called when no migration runs. Blocks for at most 5 s.
Result<void> drop_leftovers(const Execute& execute);

}  // namespace nodevirt::virt_launcher::migration
