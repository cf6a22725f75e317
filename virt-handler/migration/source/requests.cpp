#include "virt-handler/migration/source/requests.hpp"

#include <thread>

#include "api/names.hpp"

namespace nodevirt::virt_handler::migration {
namespace {

constexpr std::uint32_t kParallelConnections = 8;
/// Below this limit one connection, which keeps it within a few percent.
constexpr std::uint64_t kParallelFromMib = 64;

/// As KubeVirt: who has bounded or dedicated processors gets one stream, which needs one thread. So does who has few: each
/// connection is a thread here and one at the target, and QEMU before 8.2 keeps a processor busy besides, waiting for them.
std::uint32_t connections_for(const api::Instance& vmi) {
  bool dedicated = vmi.spec.domain.cpu && vmi.spec.domain.cpu->dedicated_placement;
  bool limited = vmi.spec.domain.resources.limits.contains("cpu");
  std::uint32_t most = std::min(kParallelConnections, std::thread::hardware_concurrency() / 2);
  return dedicated || limited || most < 2 ? 0 : most;
}

}  // namespace

Settings settings_of(const Json& stored, const api::Instance& vmi, const std::string& migration, const launcher::v1::PrepareTargetResponse& prepared,
                     std::uint64_t dirty_rate) {
  Settings out;
  const Json none = Json::object();
  const Json* configuration = find(stored, {"status", "migrationState", "migrationConfiguration"});
  std::string own = string_at(stored, {"metadata", "annotations", api::kMigrationSettingsAnnotation});
  out.config = api::read_migration_config(configuration ? *configuration : none, own, migration);
  out.memory_bytes = static_cast<std::uint64_t>(std::max<std::int64_t>(api::guest_memory_bytes(vmi.spec.domain), 0));
  out.post_copy_possible = prepared.post_copy_possible();
  out.dirty_rate_before = dirty_rate;
  for (const auto& disk : prepared.disks())
    if (disk.copied() && disk.backing_path().empty()) out.copied_disk_bytes += disk.virtual_size();
  return out;
}

launcher::v1::MigrateRequest migrate_request(const Settings& settings, const StartPlan& plan, const api::Instance& vmi, const std::string& migration,
                                             const launcher::v1::DomainRequest& domain, const launcher::v1::PrepareTargetResponse& prepared) {
  launcher::v1::MigrateRequest out;
  out.set_migration_uid(migration);
  *out.mutable_domain() = domain;
  out.set_bandwidth_mib_per_second(plan.bandwidth_mib_per_second);
  // QEMU 7.2 has no post-copy over several connections, and sends half a MiB at once over them: ten times a second, so that
  // a small limit would not be kept. Its compressors run in their threads.
  bool limited = plan.bandwidth_mib_per_second > 0 && plan.bandwidth_mib_per_second < kParallelFromMib;
  bool compressed = settings.config.compression == "zstd" || settings.config.compression == "zlib";
  std::uint32_t connections = plan.allow_post_copy ? 0 : connections_for(vmi);
  if (compressed && !plan.allow_post_copy) connections = std::max(connections, 1u);
  else if (limited) connections = 0;
  out.set_parallel_connections(connections);
  out.set_auto_converge(plan.auto_converge);
  out.set_allow_post_copy(plan.allow_post_copy);
  out.set_unsafe(settings.config.unsafe_migration_override);
  out.set_max_downtime_ms(plan.downtime_limit_ms);
  if (settings.config.compression != "none") out.set_compression(settings.config.compression);
  *out.mutable_copied_disks() = prepared.copied_disks();
  *out.mutable_target_interfaces() = prepared.interfaces();
  out.set_sample_interval_ms(plan.sample_interval_ms);
  if (plan.auto_converge) {
    out.set_throttle_initial_percent(plan.throttle.initial_percent);
    out.set_throttle_increment_percent(plan.throttle.increment_percent);
    out.set_throttle_maximum_percent(plan.throttle.maximum_percent);
    out.set_throttle_trigger_percent(plan.throttle.trigger_percent);
  }
  *out.mutable_target() = prepared;
  return out;
}

Sample sample_of(const launcher::v1::MigrationSample& sample) {
  Sample out;
  out.taken_at_ms = sample.taken_at_unix_ms();
  out.elapsed_ms = sample.elapsed_ms();
  out.setup_ms = sample.setup_ms();
  out.iteration = sample.iteration();
  out.memory_total = sample.memory_total_bytes();
  out.memory_processed = sample.memory_processed_bytes();
  out.memory_remaining = sample.memory_remaining_bytes();
  out.bandwidth = sample.bandwidth_bytes_per_second();
  out.dirty_rate = sample.dirty_rate_bytes_per_second();
  out.expected_downtime_ms = sample.expected_downtime_ms();
  out.throttle_percent = sample.throttle_percent();
  out.constant_pages = sample.constant_pages();
  out.normal_pages = sample.normal_pages();
  out.page_size = sample.page_size();
  out.post_copy_requests = sample.post_copy_requests();
  out.disk_total = sample.disk_total_bytes();
  out.disk_processed = sample.disk_processed_bytes();
  out.disk_remaining = sample.disk_remaining_bytes();
  out.completed = sample.completed();
  out.downtime_ms = sample.downtime_ms();
  return out;
}

std::optional<launcher::v1::SteerRequest> steer_request(const Action& action, const std::string& migration, const launcher::v1::DomainRequest& domain) {
  launcher::v1::SteerRequest out;
  out.set_migration_uid(migration);
  *out.mutable_domain() = domain;
  switch (action.kind) {
    case ActionKind::SetDowntimeLimit: out.set_max_downtime_ms(action.value); break;
    case ActionKind::SetBandwidth: out.set_bandwidth_mib_per_second(action.value); break;
    case ActionKind::SetThrottle:
      out.set_throttle_initial_percent(action.throttle.initial_percent);
      out.set_throttle_increment_percent(action.throttle.increment_percent);
      out.set_throttle_maximum_percent(action.throttle.maximum_percent);
      out.set_throttle_trigger_percent(action.throttle.trigger_percent);
      break;
    case ActionKind::StartPostCopy: out.set_start_post_copy(true); break;
    case ActionKind::PauseGuest: out.set_pause_guest(true); break;
    case ActionKind::Abort: return std::nullopt;
  }
  return out;
}

api::MigrationProgress progress_of(const std::string& migration, const Sample& sample, const Decision& decision, std::uint64_t memory_bytes,
                                   Clock::WallTime now) {
  api::MigrationProgress out;
  out.uid = migration;
  out.mode = std::string(to_string(decision.mode));
  out.iteration = sample.iteration;
  out.processed_bytes = sample.memory_processed + sample.disk_processed;
  out.total_bytes = sample.memory_total + sample.disk_total;
  out.remaining_bytes = sample.memory_remaining + sample.disk_remaining;
  out.disk_total_bytes = sample.disk_total;
  out.disk_remaining_bytes = sample.disk_remaining;
  if (sample.memory_total == 0 && sample.disk_total > 0) {
    out.total_bytes += memory_bytes;
    out.remaining_bytes += memory_bytes;
  }
  out.dirty_rate = decision.measures.dirty_rate;
  out.bandwidth = decision.measures.bandwidth;
  out.throttle_percent = decision.measures.throttle_percent;
  out.downtime_limit_ms = decision.measures.downtime_limit_ms;
  out.predicted_downtime_ms = static_cast<std::uint64_t>(std::clamp(decision.prediction.downtime_ms, 0.0, 1e12));
  out.predicted_end_s = decision.prediction.end_s;
  out.explanation = decision.explanation;
  out.sampled_at = format_time(now);
  return out;
}

api::MigrationProgress final_progress(const std::string& migration, const std::optional<api::MigrationProgress>& before, const Sample& end,
                                      const Took& took, Clock::WallTime now) {
  api::MigrationProgress out = before.value_or(api::MigrationProgress());
  out.uid = migration;
  if (out.mode.empty()) out.mode = to_string(Mode::PreCopy);
  std::uint64_t disks = std::max(out.disk_total_bytes, end.disk_total);
  out.iteration = std::max<std::uint64_t>(out.iteration, end.iteration);
  if (end.memory_total > 0) {
    out.total_bytes = end.memory_total + disks;
    out.processed_bytes = std::max(out.processed_bytes, end.memory_processed + disks);
    out.throttle_percent = end.throttle_percent;
  }
  // Those of a job that was not asked at its end are of some time before, if there are any.
  if (!end.completed) out.processed_bytes = std::max(out.processed_bytes, took.sent_bytes);
  out.disk_total_bytes = disks;
  out.remaining_bytes = out.disk_remaining_bytes = 0;
  out.predicted_end_s = 0;
  out.predicted_downtime_ms = 0;
  out.done = true;
  using std::chrono::milliseconds;
  out.seconds = took.all ? std::chrono::duration<double>(*took.all).count() : static_cast<double>(end.elapsed_ms) / 1000;
  out.downtime_ms = took.pause ? static_cast<std::uint64_t>(std::max<milliseconds::rep>(std::chrono::ceil<milliseconds>(*took.pause).count(), 1)) : end.downtime_ms;
  out.explanation = "all of the guest is at the target";
  out.sampled_at = format_time(now);
  return out;
}

}  // namespace nodevirt::virt_handler::migration
