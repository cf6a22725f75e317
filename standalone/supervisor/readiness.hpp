// Waits until everything that `up` started serves, and says so line by line.
#pragma once
#include <functional>
#include <string>
#include <vector>

#include "pkg/base/clock.hpp"
#include "pkg/client/client.hpp"
#include "standalone/supervisor/program.hpp"

namespace nodevirt::supervisor {

/// One thing to wait for. `ask` returns true when it is there; it may be asked any number of times.
struct Milestone {
  std::string program;   ///< whose log tells why not
  std::string line;      ///< what is printed when it is reached
  std::function<Awaitable<bool>()> ask;
};

struct ReadinessOptions {
  std::vector<Milestone> milestones;
  Clock::Time began;
  std::chrono::milliseconds patience{60000};
  std::function<void(const std::string&)> print;
  /// Checked ten times a second, also while a question is unanswered: the reason why waiting is of no use, or empty.
  std::function<std::string()> hopeless;
};

/// In order. DeadlineExceeded names the first that is not reached in time (its program is the reason); Aborted says
/// what `hopeless` said. After that a question may still hang: stop the io_context rather than wait for it.
Awaitable<Result<void>> wait_until_ready(Clock& clock, ReadinessOptions options);

/// The milestones of an instance: API server, virt-api, virt-controller, nodes, virt-handlers, as far as they are
/// among `programs`.
std::vector<Milestone> milestones_of(const std::vector<Program>& programs, client::Client api, Executor executor,
                                     const std::string& ca_pem, std::uint16_t virt_api_port, std::uint16_t virt_controller_port);

}  // namespace nodevirt::supervisor
