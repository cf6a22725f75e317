#include "virt-controller/migration/progress.hpp"

#include "api/migration_progress.hpp"
#include "api/names.hpp"

namespace nodevirt::virt_controller::migration {

namespace {

std::string annotation(const Json& object, std::string_view key) { return string_at(object, {"metadata", "annotations", key}); }

std::string state_text(const ProgressInput& in, std::string_view key) { return string_at(in.migration, {"status", "migrationState", key}); }

std::string took(const ProgressInput& in) {
  auto begun = parse_time(state_text(in, "startTimestamp")), ended = parse_time(state_text(in, "endTimestamp"));
  if (!begun.ok() || !ended.ok() || *ended < *begun) return "";
  double seconds = std::chrono::duration<double>(*ended - *begun).count();
  return " in " + api::format_seconds(seconds);
}

std::optional<api::MigrationProgress> sample_in(const ProgressInput& in, const Json& object) {
  std::string text = annotation(object, api::kMigrationProgressAnnotation);
  auto parsed = text.empty() ? Result<api::MigrationProgress>(Error(Code::NotFound, "none")) : api::parse_migration_progress(text);
  if (!parsed.ok() || parsed->uid != string_at(in.migration, {"metadata", "uid"})) return std::nullopt;
  parsed->source = state_text(in, "sourceNode");
  parsed->target = state_text(in, "targetNode");
  return std::move(*parsed);
}

// The last sample, with where it goes from and to; the instance may be another migration's by now, then the one copied before.
std::optional<api::MigrationProgress> last_sample(const ProgressInput& in) {
  auto now = in.instance ? sample_in(in, *in.instance) : std::nullopt;
  return now ? now : sample_in(in, in.migration);
}

}  // namespace

std::string summary(const ProgressInput& in) {
  if (in.phase == "Failed") {
    std::string why = state_text(in, "failureReason");
    return why.empty() ? "failed" : why;
  }
  if (in.phase == "Succeeded") {
    auto sample = last_sample(in);
    return sample && sample->done ? api::summarize(*sample) : "done" + took(in);
  }
  if (in.seen.deleting) return "is cancelled";
  if (in.phase.empty() || in.phase == "Pending")
    return !in.waits.empty() ? in.waits : in.seen.instance && !in.seen.instance_runs() ? "waits until the instance runs" : "";
  if (in.phase == "Scheduling") {
    const auto* placed = in.seen.target ? in.seen.target->condition("PodScheduled") : nullptr;
    return placed && placed->status == "False" ? "no node takes it: " + (in.seen.obstacle.empty() ? placed->message : in.seen.obstacle) : "starts the target pod";
  }
  if (in.phase == "Running")
    if (auto sample = last_sample(in)) return api::summarize(*sample);
  return "prepares the target";
}

Json progress_patch(const ProgressInput& in) {
  Json wanted = Json::object();
  std::string line = summary(in);
  if (!line.empty() && line != annotation(in.migration, api::kMigrationSummaryAnnotation))
    wanted[std::string(api::kMigrationSummaryAnnotation)] = line;
  if (auto sample = last_sample(in)) {
    std::string text = api::format_migration_progress(*sample);
    if (text != annotation(in.migration, api::kMigrationProgressAnnotation)) wanted[std::string(api::kMigrationProgressAnnotation)] = std::move(text);
  }
  if (wanted.empty()) return Json();
  Json out = Json::object();
  out["metadata"]["uid"] = string_at(in.migration, {"metadata", "uid"});
  out["metadata"]["annotations"] = std::move(wanted);
  return out;
}

}  // namespace nodevirt::virt_controller::migration
