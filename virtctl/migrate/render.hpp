// How a migration looks on a terminal. Pure.
#pragma once
#include <string>

#include "pkg/base/json.hpp"

namespace nodevirt::virtctl {

/// One line of at most `width` columns: a bar, and behind it as much of iteration, sent, left, dirty rate, throttle,
/// predicted end and pause as there is room for.
std::string migration_bar(const Json& migration, std::size_t width);
/// The same for where there is no terminal: phase and summary.
std::string migration_line(const Json& migration);

/// The figures of its end have arrived: time, pause, bytes, iterations.
bool has_last_word(const Json& migration);

enum class MigrationOutcome { Running, Succeeded, Failed, Cancelled };
/// A migration that vanished while it was being cancelled counts as cancelled.
MigrationOutcome outcome_of(const Json& migration);
/// A last sentence about it.
std::string closing_line(const std::string& machine, const Json& migration);

}  // namespace nodevirt::virtctl
