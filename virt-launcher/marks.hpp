// Small files of the pod that tell the next launcher what this one knew.
#pragma once
#include <filesystem>
#include <string>

namespace nodevirt::virt_launcher {

/// Replaces the file whole, without fsync: the pod does not outlive the machine. A failure is logged.
void write_mark(const std::filesystem::path& path, const std::string& content);
bool mark_exists(const std::filesystem::path& path);

/// The shutdown mark's content when the guest's end was asked for by force.
inline constexpr const char* kKilledMark = "killed";

}  // namespace nodevirt::virt_launcher
