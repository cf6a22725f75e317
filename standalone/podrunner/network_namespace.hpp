// A pod's network namespace: made without another program, kept by a bind mount.
#pragma once
#include <filesystem>

#include "pkg/base/result.hpp"

namespace nodevirt::podrunner {

/// Makes a namespace with its loopback up and keeps it at `path`. One that is there already is taken as it is.
/// Blocking; uses a thread of its own.
Result<void> create_network_namespace(const std::filesystem::path& path);
/// Undoes the bind mount and removes the file; the namespace goes with its last process. Repeatable.
Result<void> remove_network_namespace(const std::filesystem::path& path);

}  // namespace nodevirt::podrunner
