#include "virtctl/migrate/follow.hpp"

#include <sys/ioctl.h>
#include <unistd.h>

#include "pkg/base/clock.hpp"
#include "virtctl/console/terminal.hpp"

namespace nodevirt::virtctl {

namespace {

using k8s::resources::kVirtualMachineInstanceMigrations;

constexpr auto kPoll = std::chrono::milliseconds(500);
// Without a terminal each line stays: samples come every second, and nobody wants all of them.
constexpr auto kPlainPause = std::chrono::seconds(3);

// The last figures come from the source's node and may be a moment later than the phase, which is the target's.
constexpr auto kLastWord = std::chrono::milliseconds(250);
constexpr int kLastWordPolls = 6;

bool passing(const Error& e) { return e.code == Code::Unavailable || e.code == Code::DeadlineExceeded; }

}  // namespace

std::size_t terminal_width() {
  winsize size{};
  if (!::isatty(STDERR_FILENO)) return 0;
  if (::ioctl(STDERR_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col == 0) return 80;
  return size.ws_col;
}

Awaitable<Result<Json>> active_migration(Session& session, std::string vmi) {
  NV_CO_TRY(Json list, co_await session.client.list(kVirtualMachineInstanceMigrations, session.ns));
  if (const Json* items = find(list, {"items"}); items && items->is_array())
    for (const Json& item : *items)
      if (string_at(item, {"spec", "vmiName"}) == vmi && outcome_of(item) == MigrationOutcome::Running) co_return item;
  co_return Error(Code::NotFound, "NotFound", "Found no migration to cancel for " + vmi);
}

Awaitable<Result<Json>> follow_migration(Session& session, std::string name, std::chrono::seconds timeout) {
  Clock& clock = system_clock();
  auto begun = clock.now(), last_line = begun - kPlainPause;
  Progress progress;
  Json seen;
  std::string phase;
  int waited = 0;
  for (;;) {
    auto now = co_await session.client.get(kVirtualMachineInstanceMigrations, session.ns, name);
    if (!now.ok() && now.error().code == Code::NotFound && !seen.is_null()) {
      // Cancelled by deletion: what was known last, as that.
      seen["status"]["phase"] = "Failed";
      seen["metadata"]["deletionTimestamp"] = format_time(clock.wall());
      co_return seen;
    }
    if (!now.ok() && !passing(now.error())) co_return now.error();
    bool arrived = false;
    if (now.ok()) {
      seen = std::move(*now);
      arrived = outcome_of(seen) == MigrationOutcome::Succeeded && !has_last_word(seen) && waited++ < kLastWordPolls;
    }
    if (now.ok() && !arrived) {
      bool moved = string_at(seen, {"status", "phase"}) != phase;
      phase = string_at(seen, {"status", "phase"});
      std::size_t width = terminal_width();
      if (width > 1) {
        progress.show(migration_bar(seen, width - 1));
      } else if (moved || clock.now() - last_line >= kPlainPause) {
        progress.show(migration_line(seen));
        last_line = clock.now();
      }
      if (outcome_of(seen) != MigrationOutcome::Running) break;
    }
    if (timeout.count() > 0 && clock.now() - begun >= timeout) break;
    StopToken never;
    co_await clock.sleep(arrived ? Clock::Duration(kLastWord) : Clock::Duration(kPoll), never);
  }
  progress.finish();
  co_return seen;
}

}  // namespace nodevirt::virtctl
