// Starts one program of the multi-call binary.
#pragma once
#include "standalone/supervisor/program.hpp"

namespace nodevirt::supervisor {

struct Spawned {
  int pid = -1;
};

/// A fork of this process that takes the program's identity and executes the binary behind `self`. The child
/// gets SIGKILL when the supervisor dies. Its output is appended to `log`. `environment` is added.
Result<Spawned> spawn(const Program& program, const Fd& self, const Fd& log, const pki::Owner& control_user);

/// Opens a log file for appending; one that has grown beyond 16 MiB is moved to NAME.old first.
Result<Fd> open_log(const std::filesystem::path& path, const pki::Owner& owner);
/// The last lines of a file, for error messages.
std::string last_lines(const std::filesystem::path& path, int lines);

}  // namespace nodevirt::supervisor
