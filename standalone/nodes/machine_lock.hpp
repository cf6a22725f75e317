// What the instances of one machine may not do at the same time.
#pragma once
#include <filesystem>
#include <string_view>

#include "pkg/base/file.hpp"
#include "pkg/base/result.hpp"

namespace nodevirt::nodes {

inline constexpr const char* kMachineFolder = "/run/nodevirt";   ///< forgotten with the machine's uptime

/// Waits until no other process holds the lock NAME, then holds it until the descriptor is closed: also by the death of
/// the process. Held for moments only, so there is no limit to the wait.
Result<Fd> lock_machine(std::string_view name, const std::filesystem::path& folder = kMachineFolder);

}  // namespace nodevirt::nodes
