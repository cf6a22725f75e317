// Following a migration to its end.
#pragma once
#include "virtctl/migrate/render.hpp"
#include "virtctl/session.hpp"

namespace nodevirt::virtctl {

/// Shows progress on stderr until the migration has ended, or `timeout` (0: none) has passed: then it is still
/// Running. The last state that was seen.
Awaitable<Result<Json>> follow_migration(Session& session, std::string name, std::chrono::seconds timeout);

/// The migration of that instance which has not ended; NotFound when there is none.
Awaitable<Result<Json>> active_migration(Session& session, std::string vmi);

/// Columns of the terminal on stderr; 0 when that is none.
std::size_t terminal_width();

}  // namespace nodevirt::virtctl
