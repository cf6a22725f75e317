// The loop that keeps the programs running. One thread, no event library: it must outlive everything else
// and weigh nothing.
#pragma once
#include "standalone/supervisor/spawn.hpp"

namespace nodevirt::supervisor {

struct SuperviseOptions {
  std::vector<Program> programs;
  DataDir data;
  pki::Owner control_user;
  Fd self;                     ///< of this binary: restarts use the same version, also after an upgrade on disk
  Fd control;                  ///< listening control socket
  int watched_child = -1;      ///< a child that is no program (progress in the foreground)
  std::string server_url;
  bool in_terminal = false;    ///< SIGHUP then is the terminal's end
};

/// Until SIGTERM, SIGINT or `stop`. SIGHUP opens the log files anew (in a terminal: ends). Returns the exit code. Guests are not
/// touched. When `watched_child` ends with another code than 0 everything is stopped and that code returned.
int supervise(SuperviseOptions options);

}  // namespace nodevirt::supervisor
