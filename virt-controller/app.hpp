// virt-controller: VirtualMachine -> VirtualMachineInstance -> launcher pod; node health.
#pragma once
#include <string>
#include <vector>

namespace nodevirt::virt_controller {

/// `args` without argv[0]; returns the exit code, after SIGTERM or SIGINT.
int run(std::vector<std::string> args);

}  // namespace nodevirt::virt_controller
