// Reading and writing a setting of the machine (/proc/sys) that is to be put back.
#pragma once
#include <filesystem>
#include <string>
#include <string_view>

#include "pkg/base/result.hpp"

namespace nodevirt::nodes {

/// Its first line, without the end of the line; empty when it cannot be read.
std::string read_setting(const std::filesystem::path& path);
Result<void> write_setting(const std::filesystem::path& path, std::string_view value);
/// Of the machine's start: settings are forgotten with it.
std::string boot_id();

}  // namespace nodevirt::nodes
