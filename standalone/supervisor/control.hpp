// The supervisor's door: a unix socket that only root can open. One line in, one line of JSON out.
//   status            what runs
//   stop              stop every program and end
//   stop-program NAME stop one program and do not start it again
#pragma once
#include <string>

#include "pkg/base/json.hpp"
#include "standalone/supervisor/layout.hpp"
#include "pkg/base/file.hpp"

namespace nodevirt::supervisor {

Result<Fd> listen_control(const DataDir& data);
/// Unavailable when nobody answers.
Result<Json> ask_control(const DataDir& data, const std::string& request, std::chrono::milliseconds timeout = std::chrono::seconds(5));

/// The lock of a data directory: held as long as the descriptor is open, in whatever process.
/// AlreadyExists says who has it.
Result<Fd> take_lock(const DataDir& data);
/// The pid of the supervisor that holds the lock, or 0.
int lock_holder(const DataDir& data);
/// Writes the holder's pid into the lock file.
Result<void> note_holder(const Fd& lock, int pid);

}  // namespace nodevirt::supervisor
