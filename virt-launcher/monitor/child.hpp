// One supervised child: started again when it dies, sooner after a long life than after a short one.
#pragma once
#include <string>
#include <sys/types.h>
#include <vector>

namespace nodevirt::monitor {

/// CLOCK_MONOTONIC in milliseconds.
long long monotonic_ms();
/// One line in the programs' common log format, on stderr.
void log_line(const char* level, const std::string& message);

struct Child {
  std::string title;                      ///< for the log
  std::vector<std::string> argv;
  std::vector<std::string> environment;   ///< NAME=VALUE, set over the monitor's own
  int passed_fd = -1;                     ///< becomes descriptor 3 of the child
  int kept_fd = -1;                       ///< becomes descriptor 4 of the child, which NODEVIRT_KEPT_FD says
  bool quiet = false;                     ///< its output goes to /dev/null

  pid_t pid = 0;                          ///< 0: not running
  long long started_ms = 0;
  long long start_at_ms = 0;              ///< when to start it, while pid is 0
  long long delay_ms = 0;
  int exits = 0;

  /// fork and exec; on failure it counts as a child that died at once.
  void start();
  /// Notes its end and when to start it again.
  void ended(int wait_status);
};

}  // namespace nodevirt::monitor
