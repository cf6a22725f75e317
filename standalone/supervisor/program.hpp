// The programs that `up` starts: what each is called with, as whom and where it runs.
#pragma once
#include <string>
#include <vector>

#include "standalone/supervisor/instance.hpp"
#include "standalone/supervisor/preflight.hpp"

namespace nodevirt::supervisor {

struct Program {
  std::string name;                 ///< "apiserver", "node-node1": in logs, in status, its log file's name
  std::string title;                ///< "API server": in progress lines
  std::vector<std::string> args;    ///< of the multi-call binary, without argv[0]
  bool privileged = false;          ///< root; otherwise the control plane's user
  int netns = -1;                   ///< descriptor of the namespace to run in
  std::vector<int> descriptors;     ///< inherited as 3, 4, 5 ...
};

/// What the programs' command lines are made from. Descriptors are the supervisor's own.
struct ProgramContext {
  DataDir data;
  Installation installation;
  Instance instance;
  Users users;
  std::string launcher_image;
  std::vector<int> api_listeners;   ///< the host's first, then one per node
  int virt_api_listener = -1;
  std::uint16_t virt_api_port = 0;
  int virt_controller_listener = -1;
  std::vector<int> node_netns;      ///< per node
  int host_netns = -1;
};

/// Which of the programs this binary holds: parts that are not linked in are not started.
struct LinkedPrograms {
  bool apiserver = false, virt_api = false, virt_controller = false, node = false, virt_handler = false;
};

/// In the order of their start. Pure.
std::vector<Program> programs_of(const ProgramContext& context, const LinkedPrograms& linked);

/// Where an instance keeps what must not outlive the machine's uptime: pods' network namespaces.
std::string run_dir_of(const std::string& hash);

/// How long to wait before the n-th start in a row that did not last (n from 1): 0, 100 ms, 200 ms ... 30 s.
std::chrono::milliseconds restart_delay(int failures);

}  // namespace nodevirt::supervisor
