#include "virt-controller/migration/metrics.hpp"

#include <fmt/format.h>

namespace nodevirt::virt_controller::migration {

namespace {

std::string gauge(const char* name, const char* help) { return fmt::format("# HELP {0} {1}\n# TYPE {0} gauge\n", name, help); }

// The times are found in the object; a sample that nobody asks for costs nothing between scrapes.
std::string seconds_of(const Json& object, std::string_view key) {
  auto at = parse_time(string_at(object, {"status", "migrationState", key}));
  return at.ok() ? std::to_string(std::chrono::duration_cast<std::chrono::seconds>(at->time_since_epoch()).count()) : "";
}

}  // namespace

std::string metrics(const MigrationInformer& migrations) {
  int unset = 0, pending = 0, scheduling = 0, running = 0;
  std::string succeeded, failed, began, ended;
  for (const auto& m : migrations.list()) {
    unset += m->phase.empty();
    pending += m->phase == "Pending";
    scheduling += m->phase == "Scheduling" || m->phase == "Scheduled";
    running += m->phase == "PreparingTarget" || m->phase == "TargetReady" || m->phase == "Running";
    std::string labels = fmt::format("{{namespace=\"{}\",vmi=\"{}\",vmim=\"{}\"}}", m->meta.ns, m->vmi_name, m->meta.name);
    if (m->phase == "Succeeded") succeeded += fmt::format("kubevirt_vmi_migration_succeeded{} 1\n", labels);
    if (m->phase == "Failed") failed += fmt::format("kubevirt_vmi_migration_failed{} 1\n", labels);
    Json object = m->json();
    if (auto at = seconds_of(object, "startTimestamp"); !at.empty()) began += fmt::format("kubevirt_vmi_migration_start_time_seconds{} {}\n", labels, at);
    if (auto at = seconds_of(object, "endTimestamp"); !at.empty()) ended += fmt::format("kubevirt_vmi_migration_end_time_seconds{} {}\n", labels, at);
  }
  std::string out;
  auto count = [&](const char* name, const char* help, int n) { out += gauge(name, help) + fmt::format("{} {}\n", name, n); };
  count("kubevirt_vmi_migrations_in_unset_phase", "Migrations that were not looked at yet", unset);
  count("kubevirt_vmi_migrations_in_pending_phase", "Migrations that wait for their turn", pending);
  count("kubevirt_vmi_migrations_in_scheduling_phase", "Migrations whose target pod starts", scheduling);
  count("kubevirt_vmi_migrations_in_running_phase", "Migrations that virt-handler does", running);
  out += gauge("kubevirt_vmi_migration_succeeded", "A migration that succeeded") + succeeded;
  out += gauge("kubevirt_vmi_migration_failed", "A migration that failed") + failed;
  out += gauge("kubevirt_vmi_migration_start_time_seconds", "When a migration began") + began;
  out += gauge("kubevirt_vmi_migration_end_time_seconds", "When a migration ended") + ended;
  return out;
}

}  // namespace nodevirt::virt_controller::migration
