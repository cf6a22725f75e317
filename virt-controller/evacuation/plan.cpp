#include "virt-controller/evacuation/plan.hpp"

#include <algorithm>

namespace nodevirt::virt_controller::evacuation {

namespace {

bool wants_migration(const Candidate& c) { return c.strategy == "LiveMigrate" || (c.strategy == "LiveMigrateIfPossible" && c.migratable); }

// An eviction ends these, and nobody asked for one; a drained node only says that they are there.
std::string why_it_stays(const Candidate& c) {
  if (c.strategy == "External") return "its evictionStrategy is External: whoever set that moves it";
  if (c.strategy == "LiveMigrateIfPossible" || c.strategy == "LiveMigrate")
    return "it cannot be migrated: " + (c.obstacle.empty() ? "nothing is known yet of whether it can" : c.obstacle);
  return "its evictionStrategy is None: it stays until its pod is evicted or it is shut down";
}

}  // namespace

Clock::Duration backoff(int failures) {
  if (failures <= 0) return Clock::Duration::zero();
  return std::min<Clock::Duration>(std::chrono::seconds(20) * (1LL << std::min(failures - 1, 6)), std::chrono::minutes(10));
}

Plan plan(std::vector<Candidate> candidates, bool drained, std::int64_t parallel, Clock::WallTime now) {
  std::sort(candidates.begin(), candidates.end(), [](const Candidate& a, const Candidate& b) {
    return a.priority != b.priority ? a.priority > b.priority : a.key < b.key;
  });
  Plan out;
  std::int64_t places = parallel;
  for (const auto& c : candidates) places -= c.evacuating;
  for (const auto& c : candidates) {
    if (c.final() || c.deleting || (!drained && !c.marked)) continue;
    if (c.phase != "Running") {
      ++out.moving;  // its hand-over wakes us
      continue;
    }
    if (!wants_migration(c) || !c.migratable) {
      out.stays.push_back({c.key, why_it_stays(c)});
      continue;
    }
    ++out.moving;
    if (c.migrating || c.living_pods > 1 || places <= 0) continue;
    auto wait = backoff(c.failures);
    auto since = c.failed_at ? std::max<Clock::Duration>(Clock::Duration::zero(), now - *c.failed_at) : wait;
    if (since < wait) {
      out.again = std::min(out.again.value_or(wait), wait - since);
      continue;
    }
    out.migrate.push_back(c.key);
    --places;
  }
  return out;
}

}  // namespace nodevirt::virt_controller::evacuation
