// Is there a running instance to talk to? Pure decision, and the wait around it.
#pragma once
#include <optional>

#include "virtctl/console/terminal.hpp"
#include "virtctl/session.hpp"

namespace nodevirt::virtctl {

struct Readiness {
  enum class State { Running, Waiting, Refused } state = State::Waiting;
  std::string text;   ///< what is being waited for, or why not
};

/// From the instance and its machine as the server has them now (either may be absent).
Readiness console_readiness(const std::string& name, const std::optional<Json>& vm, const std::optional<Json>& vmi);

/// Waits, telling progress on stderr, until the instance runs. DeadlineExceeded after `timeout`.
Awaitable<Result<void>> wait_until_running(Session& session, std::string name, std::chrono::seconds timeout);

}  // namespace nodevirt::virtctl
