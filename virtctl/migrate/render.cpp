#include "virtctl/migrate/render.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "api/migration_progress.hpp"
#include "api/names.hpp"
#include "pkg/base/clock.hpp"

namespace nodevirt::virtctl {

namespace {

std::string annotation(const Json& migration, std::string_view key) { return string_at(migration, {"metadata", "annotations", key}); }
std::string phase_of(const Json& migration) { return string_at(migration, {"status", "phase"}, "Pending"); }
std::string state_of(const Json& migration, std::string_view key) { return string_at(migration, {"status", "migrationState", key}); }

std::optional<api::MigrationProgress> sample_of(const Json& migration) {
  auto parsed = api::parse_migration_progress(annotation(migration, api::kMigrationProgressAnnotation));
  if (!parsed.ok() || parsed->uid != string_at(migration, {"metadata", "uid"})) return std::nullopt;
  return std::move(*parsed);
}

// " in 4 s", of whole seconds; nothing when it is not known.
std::string took(const Json& migration) {
  auto begun = parse_time(state_of(migration, "startTimestamp")), ended = parse_time(state_of(migration, "endTimestamp"));
  if (!begun.ok() || !ended.ok() || *ended < *begun) return "";
  return " in " + api::format_seconds(std::chrono::duration<double>(*ended - *begun).count());
}

// By columns: the texts are ASCII but for what a server puts into messages, where a cut character does no harm.
std::string cut(std::string text, std::size_t width) {
  if (text.size() <= width) return text;
  while (width > 0 && (static_cast<unsigned char>(text[width]) & 0xc0) == 0x80) --width;
  return text.substr(0, width);
}

std::string bar(int percent, std::size_t cells) {
  std::size_t full = cells * static_cast<std::size_t>(std::clamp(percent, 0, 100)) / 100;
  std::string out = "[" + std::string(full, '=');
  if (full < cells) out += ">" + std::string(cells - full - 1, ' ');
  return out + "]";
}

// The parts of a sample, the most telling first.
std::vector<std::string> facts(const api::MigrationProgress& p) {
  auto size = [](std::uint64_t n) { return api::format_size(static_cast<double>(n)); };
  auto rate = [](std::uint64_t n) { return api::format_rate(static_cast<double>(n)); };
  std::vector<std::string> out;
  if (p.mode == "PostCopy") out.push_back("runs on the target");
  else if (p.mode == "Paused") out.push_back("paused");
  if (api::copies_disks(p)) out.push_back(fmt::format("copies disks: {} of {} left", size(p.disk_remaining_bytes), size(p.disk_total_bytes)));
  if (p.iteration) out.push_back(fmt::format("iteration {}", p.iteration));
  out.push_back(size(p.remaining_bytes) + " left");
  if (p.predicted_end_s) out.push_back("ends in " + api::format_seconds(*p.predicted_end_s));
  else if (p.mode == "PreCopy" && p.iteration > 1) out.push_back("no end in sight");
  if (p.dirty_rate) out.push_back("dirty " + rate(p.dirty_rate));
  if (p.throttle_percent) out.push_back(fmt::format("throttle {} %", p.throttle_percent));
  if (p.predicted_downtime_ms) out.push_back("pause " + api::format_seconds(static_cast<double>(p.predicted_downtime_ms) / 1000));
  out.push_back(size(p.processed_bytes) + " sent");
  if (p.bandwidth) out.push_back("at " + rate(p.bandwidth));
  if (!p.explanation.empty()) out.push_back(p.explanation);
  return out;
}

}  // namespace

bool has_last_word(const Json& migration) {
  auto sample = sample_of(migration);
  return sample && sample->done;
}

std::string migration_bar(const Json& migration, std::size_t width) {
  std::string phase = phase_of(migration);
  auto sample = phase == "Running" ? sample_of(migration) : std::nullopt;
  std::size_t cells = width >= 100 ? 24 : width >= 60 ? 16 : 8;
  int percent = phase == "Succeeded" ? 100 : sample ? api::progress_percent(*sample) : 0;
  std::string out = fmt::format("{} {:3} %", bar(percent, cells), percent);
  if (!sample || sample->done) return cut(out + "  " + migration_line(migration), width);
  for (const auto& fact : facts(*sample)) {
    if (out.size() + 2 + fact.size() > width) continue;
    out += "  " + fact;
  }
  return cut(out, width);
}

std::string migration_line(const Json& migration) {
  std::string what = annotation(migration, api::kMigrationSummaryAnnotation), phase = phase_of(migration);
  auto sample = sample_of(migration);
  if (phase == "Running" && sample && !sample->done && !sample->explanation.empty()) what += "; " + sample->explanation;
  // The summary may be one from the middle.
  if (phase == "Succeeded") what = sample && sample->done ? api::summarize(*sample) : "done" + took(migration);
  if (phase == "Running" && sample && sample->done) what = "all of the guest is at the target";
  return phase + (what.empty() ? "" : ": " + what);
}

MigrationOutcome outcome_of(const Json& migration) {
  std::string phase = phase_of(migration);
  if (phase == "Succeeded") return MigrationOutcome::Succeeded;
  bool deleted = !string_at(migration, {"metadata", "deletionTimestamp"}).empty();
  if (phase == "Failed") return deleted ? MigrationOutcome::Cancelled : MigrationOutcome::Failed;
  return MigrationOutcome::Running;
}

std::string closing_line(const std::string& machine, const Json& migration) {
  std::string source = state_of(migration, "sourceNode"), target = state_of(migration, "targetNode");
  switch (outcome_of(migration)) {
    case MigrationOutcome::Running: return fmt::format("VM {} is still being migrated", machine);
    case MigrationOutcome::Cancelled: return fmt::format("the migration of VM {} was cancelled{}", machine, source.empty() ? "" : "; it runs on node " + source);
    case MigrationOutcome::Failed: {
      std::string why = state_of(migration, "failureReason");
      return fmt::format("the migration of VM {} failed: {}{}", machine, why.empty() ? "no reason is given" : why,
                         source.empty() ? "" : "; it stays on node " + source);
    }
    case MigrationOutcome::Succeeded: break;
  }
  auto sample = sample_of(migration);
  // "done in 4.2 s with a pause of ..."
  std::string how = sample && sample->done ? api::summarize(*sample).substr(std::string_view("done").size()) : took(migration);
  return fmt::format("VM {} was migrated{}{}{}", machine, source.empty() ? "" : " from node " + source, target.empty() ? "" : " to node " + target, how);
}

}  // namespace nodevirt::virtctl
