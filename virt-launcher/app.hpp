// virt-launcher: one per instance.
#pragma once
#include <string>
#include <vector>

namespace nodevirt::virt_launcher {

/// `args` without argv[0]; returns the exit code.
int run(std::vector<std::string> args);

}  // namespace nodevirt::virt_launcher
