// What `up` makes before a program starts, and undoes when it fails.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "pkg/base/clock.hpp"
#include "pkg/base/file.hpp"
#include "standalone/supervisor/supervise.hpp"

namespace nodevirt::supervisor {

struct UpOptions {
  std::string data_dir = std::string(kDefaultDataDir), listen, launcher_image;
  nodes::WantedRanges ranges;
  int nodes = 0, wait_seconds = 60;
  bool detach = false;
  std::optional<bool> userfaultfd;   ///< nothing: as it was
};

/// Everything that is held while the instance runs.
struct Prepared {
  ProgramContext context;
  std::vector<Program> programs;
  std::vector<Fd> held;          ///< listeners and namespaces, named by number in the context
  Fd lock, control, self;
  std::uint16_t virt_controller_port = 0;
  bool fresh = false;            ///< there was no instance in the data directory
  bool networked = false;        ///< the network is (partly) made
  std::string server_url, ca_pem;
  Clock::Time began;
};

/// Everything but the programs. What it made stays behind an error; clear_traces() knows what that is.
Result<void> prepare(Prepared& p, const UpOptions& o, const LinkedPrograms& linked);
/// After a failure: what was not there before goes again.
void clear_traces(Prepared& p);
/// Without guests the network is of no use to anybody.
void remove_idle_network(const DataDir& data, const Instance& instance);
/// A line for the person at the terminal.
void say(const std::string& line);

}  // namespace nodevirt::supervisor
