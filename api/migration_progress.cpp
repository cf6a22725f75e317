#include "api/migration_progress.hpp"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "pkg/base/json.hpp"

namespace nodevirt::api {

namespace {

constexpr std::size_t kMaxText = 4096, kMaxExplanation = 512, kMaxName = 256;
constexpr double kMaxPredictionSeconds = 1e9;

std::string cut(const std::string& text, std::size_t most) {
  if (text.size() <= most) return text;
  std::size_t end = most;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xc0) == 0x80) --end;
  return text.substr(0, end);
}

std::uint64_t count_at(const Json& object, std::string_view key, std::uint64_t most) {
  auto* v = find(object, {key});
  if (!v || !v->is_number()) return 0;
  if (v->is_number_unsigned()) return std::min(v->get<std::uint64_t>(), most);
  double d = v->get<double>();
  return d > 0 ? static_cast<std::uint64_t>(std::min(d, static_cast<double>(most))) : 0;
}

std::string text_at(const Json& object, std::string_view key, std::size_t most) {
  return cut(string_at(object, {key}), most);
}

bool far(double a, double b, double share, double least = 0) {
  return std::abs(a - b) > std::max(least, share * std::max(std::abs(a), std::abs(b)));
}

std::string three_digits(double value, std::string_view unit) {
  return value < 9.95 ? fmt::format("{:.1f} {}", value, unit) : fmt::format("{:.0f} {}", value, unit);
}

}  // namespace

std::string format_migration_progress(const MigrationProgress& p) {
  Json out = {
      {"uid", cut(p.uid, kMaxName)},
      {"mode", cut(p.mode, kMaxName)},
      {"iteration", p.iteration},
      {"processedBytes", p.processed_bytes},
      {"totalBytes", p.total_bytes},
      {"remainingBytes", p.remaining_bytes},
      {"dirtyRateBytesPerSecond", p.dirty_rate},
      {"bandwidthBytesPerSecond", p.bandwidth},
      {"throttlePercent", p.throttle_percent},
      {"downtimeLimitMs", p.downtime_limit_ms},
      {"predictedDowntimeMs", p.predicted_downtime_ms},
      {"predictedEndSeconds", nullptr},
      {"explanation", cut(p.explanation, kMaxExplanation)},
      {"sampledAt", cut(p.sampled_at, kMaxName)},
  };
  // Tenths are enough, and keep the text short.
  if (p.predicted_end_s && std::isfinite(*p.predicted_end_s))
    out["predictedEndSeconds"] = std::round(std::clamp(*p.predicted_end_s, 0.0, kMaxPredictionSeconds) * 10) / 10;
  if (p.disk_total_bytes) {
    out["diskTotalBytes"] = p.disk_total_bytes;
    out["diskRemainingBytes"] = p.disk_remaining_bytes;
  }
  if (p.done) {
    out["done"] = true;
    if (p.seconds > 0 && std::isfinite(p.seconds)) out["seconds"] = std::max(std::round(std::min(p.seconds, kMaxPredictionSeconds) * 100), 1.0) / 100;
    if (p.downtime_ms) out["downtimeMs"] = p.downtime_ms;
  }
  if (!p.source.empty()) out["source"] = cut(p.source, kMaxName);
  if (!p.target.empty()) out["target"] = cut(p.target, kMaxName);
  return dump_json(out);
}

Result<MigrationProgress> parse_migration_progress(std::string_view text) {
  if (text.size() > kMaxText) return Error(Code::InvalidArgument, "read migration progress: longer than 4 KiB");
  auto json = parse_json(text, 8);
  if (!json.ok()) return json.error().with_context("read migration progress");
  MigrationProgress p;
  p.uid = text_at(*json, "uid", kMaxName);
  if (p.uid.empty()) return Error(Code::InvalidArgument, "read migration progress: no uid");
  constexpr std::uint64_t kMost = 1ull << 60;
  p.mode = text_at(*json, "mode", kMaxName);
  p.source = text_at(*json, "source", kMaxName);
  p.target = text_at(*json, "target", kMaxName);
  p.iteration = count_at(*json, "iteration", kMost);
  p.processed_bytes = count_at(*json, "processedBytes", kMost);
  p.total_bytes = count_at(*json, "totalBytes", kMost);
  p.remaining_bytes = count_at(*json, "remainingBytes", kMost);
  p.disk_total_bytes = count_at(*json, "diskTotalBytes", kMost);
  p.disk_remaining_bytes = count_at(*json, "diskRemainingBytes", kMost);
  p.dirty_rate = count_at(*json, "dirtyRateBytesPerSecond", kMost);
  p.bandwidth = count_at(*json, "bandwidthBytesPerSecond", kMost);
  p.throttle_percent = static_cast<std::uint32_t>(count_at(*json, "throttlePercent", 100));
  p.downtime_limit_ms = count_at(*json, "downtimeLimitMs", kMost);
  p.predicted_downtime_ms = count_at(*json, "predictedDowntimeMs", kMost);
  if (auto* v = find(*json, {"predictedEndSeconds"}); v && v->is_number()) {
    double seconds = v->get<double>();
    if (std::isfinite(seconds)) p.predicted_end_s = std::clamp(seconds, 0.0, kMaxPredictionSeconds);
  }
  p.done = bool_at(*json, {"done"});
  if (p.done) {
    if (auto* v = find(*json, {"seconds"}); v && v->is_number())
      if (double seconds = v->get<double>(); std::isfinite(seconds)) p.seconds = std::clamp(seconds, 0.0, kMaxPredictionSeconds);
    p.downtime_ms = count_at(*json, "downtimeMs", kMost);
  }
  p.explanation = text_at(*json, "explanation", kMaxExplanation);
  p.sampled_at = text_at(*json, "sampledAt", kMaxName);
  return p;
}

bool worth_writing(const MigrationProgress& a, const MigrationProgress& b) {
  auto exact = [](const MigrationProgress& p) {
    return std::tie(p.uid, p.mode, p.source, p.target, p.iteration, p.throttle_percent, p.downtime_limit_ms, p.total_bytes,
                    p.disk_total_bytes, p.explanation, p.done, p.seconds, p.downtime_ms);
  };
  if (exact(a) != exact(b)) return true;
  auto number = [](std::uint64_t v) { return static_cast<double>(v); };
  if (far(number(a.processed_bytes), number(b.processed_bytes), 0.01) ||
      far(number(a.remaining_bytes), number(b.remaining_bytes), 0.01) ||
      far(number(a.dirty_rate), number(b.dirty_rate), 0.01) || far(number(a.bandwidth), number(b.bandwidth), 0.01) ||
      far(number(a.predicted_downtime_ms), number(b.predicted_downtime_ms), 0.05, 5))
    return true;
  if (a.predicted_end_s.has_value() != b.predicted_end_s.has_value()) return true;
  return a.predicted_end_s && far(*a.predicted_end_s, *b.predicted_end_s, 0.05, 0.2);
}

int progress_percent(const MigrationProgress& p) {
  if (p.done) return 100;
  if (p.total_bytes == 0) return 0;
  double left = static_cast<double>(std::min(p.remaining_bytes, p.total_bytes));
  int percent = static_cast<int>(100 * (1 - left / static_cast<double>(p.total_bytes)));
  return std::clamp(percent, 0, 99);
}

std::string summarize(const MigrationProgress& p) {
  auto size = [](std::uint64_t n) { return format_size(static_cast<double>(n)); };
  if (p.done) {
    std::string out = "done";
    if (p.seconds > 0) out += " in " + format_seconds(p.seconds);
    if (p.downtime_ms) out += " with a pause of " + format_seconds(static_cast<double>(p.downtime_ms) / 1000);
    if (p.processed_bytes) out += fmt::format(", {} sent", size(p.processed_bytes));
    if (p.iteration) out += fmt::format("{} in {} iteration{}", p.processed_bytes ? "" : ",", p.iteration, p.iteration == 1 ? "" : "s");
    return out;
  }
  if (p.total_bytes == 0) return "prepares the transfer";
  std::string out;
  bool disks = copies_disks(p);
  if (p.mode == "PostCopy") out = "runs on the target, fetching memory, ";
  else if (p.mode == "Paused") out = "paused for the last step, ";
  else if (disks) out = "copies disks, ";
  else if (p.iteration == 0) out = "preparing, ";
  else out = fmt::format("iteration {}, ", p.iteration);
  out += fmt::format("{} % in step, ", progress_percent(p));
  if (disks) out += fmt::format("{} of {} of disks left", size(p.disk_remaining_bytes), size(p.disk_total_bytes));
  else out += fmt::format("{} of {} left", size(p.remaining_bytes), size(p.total_bytes));
  if (p.dirty_rate) out += ", dirties " + format_rate(static_cast<double>(p.dirty_rate));
  if (p.bandwidth) out += ", sends " + format_rate(static_cast<double>(p.bandwidth));
  if (p.throttle_percent) out += fmt::format(", slowed down by {} %", p.throttle_percent);
  if (p.predicted_end_s) {
    out += ", ends in " + format_seconds(*p.predicted_end_s);
    if (p.mode == "PreCopy") out += " with a pause of " + format_seconds(static_cast<double>(p.predicted_downtime_ms) / 1000);
  } else if (p.mode == "PreCopy" && p.iteration > 1) {
    out += ", no end in sight";
  }
  return out;
}

bool copies_disks(const MigrationProgress& p) { return !p.done && p.iteration == 0 && p.disk_total_bytes > 0; }

std::string format_size(double bytes) {
  static constexpr std::string_view kUnits[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
  if (!(bytes > 0)) return "0 B";
  std::size_t unit = 0;
  // 1023.5 would be rounded to 1024 of the same unit.
  while (bytes >= 1023.5 && unit + 1 < std::size(kUnits)) bytes /= 1024, ++unit;
  if (unit == 0) return fmt::format("{:.0f} B", bytes);
  return three_digits(bytes, kUnits[unit]);
}

std::string format_rate(double bytes_per_second) { return format_size(bytes_per_second) + "/s"; }

std::string format_seconds(double s) {
  if (!(s > 0)) return "0 s";
  if (s < 0.095) return fmt::format("{:.2f} s", s);
  if (s < 9.95) return fmt::format("{:.1f} s", s);
  if (s < 119.5) return fmt::format("{:.0f} s", s);
  if (s < 7170) return fmt::format("{:.0f} min", s / 60);
  if (s < 48 * 3600) return fmt::format("{:.0f} h", s / 3600);
  return s < 1e8 ? fmt::format("{:.0f} days", s / 86400) : std::string("years");
}

}  // namespace nodevirt::api
