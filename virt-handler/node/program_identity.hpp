// Recognising that a program or file is still the same one, cheaply.
#pragma once
#include <filesystem>
#include <string>

namespace nodevirt::virt_handler {

/// Path, size, inode change time; empty when it does not exist. `name` without a slash is looked up in PATH.
std::string program_identity(const std::string& name);
/// The absolute path of a program, or empty.
std::filesystem::path find_program(const std::string& name);
/// /proc/sys/kernel/random/boot_id.
std::string boot_id();

}  // namespace nodevirt::virt_handler
