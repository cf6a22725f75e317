// A container's processes: started so that they outlive us, found again after our death.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "pkg/base/file.hpp"
#include "standalone/podrunner/process_table.hpp"

namespace nodevirt::podrunner {

struct SpawnRequest {
  std::vector<std::string> argv;             ///< of bwrap; argv[0] is its path
  std::vector<std::string> env;              ///< the container's whole environment
  std::string netns;                         ///< entered before exec
  std::string log;                           ///< stdout and stderr, appended
  std::string status;                        ///< bwrap's status documents, appended; descriptor 3
  std::string hold;                          ///< a named pipe, made here: the sandbox waits at it; descriptor 4
  int seccomp_fd = -1;                       ///< becomes descriptor 5
  std::vector<std::string> cgroups;          ///< of make_cgroups; all its processes are in them before it can be released
};

/// Starts bwrap as nobody's child, in a session of its own, and returns its pid once it has been exec'ed.
/// Blocking for about a millisecond, for some ten with groups of version 2. From the first instruction of the new process on it is in the pod's network
/// namespace, so that find_sandbox sees it whenever we die. bwrap makes the sandbox, and then waits for
/// release_sandbox before it executes the container's command; our death does not let it go on.
Result<pid_t> spawn_sandbox(const SpawnRequest& request);
/// Lets it go on. Repeatable: a sandbox that went on before, or is gone, is no error.
Result<void> release_sandbox(const std::string& hold);

/// What bwrap has written. Pure.
struct SandboxStatus {
  pid_t init = 0;                            ///< PID 1 of the container, as seen from here; 0: it never ran
  std::optional<int> exit_code;
};
SandboxStatus parse_sandbox_status(std::string_view text);
SandboxStatus read_sandbox_status(const std::string& path);

/// The processes of a pod, by its network namespace.
struct SandboxProcesses {
  pid_t shim = 0;                            ///< bwrap's outer process
  pid_t init = 0;                            ///< PID 1 inside
  std::vector<pid_t> all;                    ///< these and every other process of the pod
  bool alive() const { return !all.empty(); }
};
SandboxProcesses find_sandbox(const std::string& netns);

/// When the bind mount of the namespace is lost (a private mount namespace of an earlier runner): takes it up
/// again from the process that the status names, if that is still the pod's. False when there is nothing to take.
bool recover_netns(const std::string& netns, const SandboxStatus& status, const std::string& pod_uid);

/// SIGKILL to everything of the pod until nothing is left; false when something still is after `attempts`
/// of 20 ms. Blocking.
bool kill_sandbox(const std::string& netns, int attempts);

}  // namespace nodevirt::podrunner
