// The command line of virt-launcher-monitor.
#pragma once
#include <string>
#include <vector>

namespace nodevirt::monitor {

struct Options {
  std::string name, namespace_, uid;
  long grace_period = 30;    ///< seconds between SIGTERM and the end of QEMU
  long qemu_timeout = 300;   ///< seconds in which a QEMU must appear; 0: for ever
  std::string root;          ///< stands before all paths of api/names.hpp; for tests
  std::string launcher;      ///< the program; next to the monitor's own when empty
  std::string libvirtd = "/usr/sbin/libvirtd";
  std::vector<std::string> launcher_args;  ///< what stands after "--"
};

/// Exit codes of the monitor, as they appear in the container's status.
enum ExitCode : int {
  kGuestEnded = 0,     ///< shut down by the guest or on request
  kGuestCrashed = 1,   ///< QEMU died, or crashed
  kUsage = 2,
  kNeverStarted = 3,   ///< no QEMU within --qemu-timeout
  kFenced = 4,         ///< the fence deadline passed
};

/// False with a message in `error` when the command line is wrong.
bool parse_options(int argc, char** argv, Options& out, std::string& error);

}  // namespace nodevirt::monitor
