// Child processes: an argument vector, never a shell.
#pragma once
#include <chrono>
#include <map>
#include <string>
#include <vector>

#include "pkg/base/async.hpp"

namespace nodevirt {

struct Command {
  std::vector<std::string> argv;                ///< argv[0] is looked up in PATH
  std::map<std::string, std::string> env;       ///< added to the parent's environment
  std::string input;                            ///< written to its standard input
  std::chrono::milliseconds timeout{60000};     ///< then SIGKILL and DeadlineExceeded
  std::size_t max_output = 1u << 20;            ///< bytes kept of each of stdout and stderr
  int netns_fd = -1;                            ///< entered with setns before exec when >= 0
};

struct Finished {
  int exit_code = 0;  ///< 128+N when ended by signal N
  std::string out, err;
};

/// Runs a child to its end (posix_spawn semantics: no inherited descriptors but 0, 1, 2).
/// An Error means that it could not be run or timed out; a non-zero exit is a Finished.
Result<Finished> run_command(const Command& command);
/// The same, without blocking the caller's executor.
Awaitable<Result<Finished>> async_run_command(Command command);
/// run_command, where a non-zero exit is an Error that carries the last lines of stderr.
Result<std::string> check_output(const Command& command);

}  // namespace nodevirt
