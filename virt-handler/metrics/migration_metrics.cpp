#include "virt-handler/metrics/migration_metrics.hpp"

#include "api/migration_progress.hpp"
#include "api/names.hpp"

namespace nodevirt::virt_handler {

void migration_metrics(MetricText& out, const InstanceObject& instance, const std::string& node) {
  if (!instance.migration || instance.migration->finished() || instance.migration->source_node != node) return;
  auto told = instance.meta.annotations.find(std::string(api::kMigrationProgressAnnotation));
  if (told == instance.meta.annotations.end()) return;
  auto progress = api::parse_migration_progress(told->second);
  if (!progress.ok() || progress->uid != instance.migration->uid) return;
  MetricText::Labels labels{{"namespace", instance.meta.ns}, {"name", instance.meta.name}, {"node", node}};
  auto add = [&](std::string_view name, std::string_view help, double value) { out.sample(name, "gauge", help, labels, value); };
  auto number = [](std::uint64_t value) { return static_cast<double>(value); };
  add("kubevirt_vmi_migration_data_total_bytes", "The guest's memory, and the disks that are copied.", number(progress->total_bytes));
  add("kubevirt_vmi_migration_data_processed_bytes", "What has been sent.", number(progress->processed_bytes));
  add("kubevirt_vmi_migration_data_remaining_bytes", "What is left to send.", number(progress->remaining_bytes));
  if (progress->disk_total_bytes) {
    add("nodevirt_vmi_migration_disk_total_bytes", "The disks that are copied, a part of the data.", number(progress->disk_total_bytes));
    add("nodevirt_vmi_migration_disk_remaining_bytes", "What is left of the disks, a part of the data.", number(progress->disk_remaining_bytes));
  }
  add("kubevirt_vmi_migration_dirty_memory_rate_bytes", "How much memory the guest writes in a second.", number(progress->dirty_rate));
  add("kubevirt_vmi_migration_memory_transfer_rate_bytes", "How much is sent in a second.", number(progress->bandwidth));
  add("nodevirt_vmi_migration_iteration", "The pass over the memory.", progress->iteration);
  add("nodevirt_vmi_migration_throttle_percent", "How much of its processor time the guest is kept from.", progress->throttle_percent);
  add("nodevirt_vmi_migration_predicted_downtime_seconds", "How long the guest is expected to stand still.", number(progress->predicted_downtime_ms) / 1000);
  // A migration with no end in sight has no such sample.
  if (progress->predicted_end_s) add("nodevirt_vmi_migration_predicted_end_seconds", "When the migration is expected to end, from now.", *progress->predicted_end_s);
}

}  // namespace nodevirt::virt_handler
