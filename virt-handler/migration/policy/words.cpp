#include "virt-handler/migration/policy/words.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "api/migration_progress.hpp"

namespace nodevirt::virt_handler::migration {

using api::format_rate;
using api::format_seconds;
using api::format_size;

namespace {

std::string writing(const JobView& job) {
  auto& model = job.model();
  double rate = model.write_rate() * (1 - job.throttle());
  std::string out = fmt::format("writes {}{}", model.rate_is_lower_bound() && model.working_set() > 0 ? "at least " : "",
                                format_rate(rate));
  if (model.working_set() > 0) out += fmt::format(" into a {} working set", format_size(model.working_set()));
  if (job.throttle() > 0) out += fmt::format(" (slowed down by {} %)", job.last().throttle_percent);
  return out;
}

double max_downtime(const Facts& f) { return static_cast<double>(f.settings.config.max_downtime_ms) / 1000; }

}  // namespace

std::string obstacle(const Facts& f) {
  return fmt::format("{}; at {} the last step needs {}, {} allowed", writing(f.job), format_rate(f.last_rate),
                     format_seconds(f.last_step), format_seconds(max_downtime(f)));
}

std::string rates(const Facts& f) {
  double sends = f.job.bandwidth().rate();
  if (!f.job.model().known()) return fmt::format("sends {}", format_rate(sends));
  return fmt::format("{}, sends {}", writing(f.job), format_rate(sends));
}

std::string beginning(const Facts& f) {
  auto& s = f.job.last();
  if (s.iteration == 0) {
    if (s.disk_total == 0) return "connecting to the target";
    std::string out = fmt::format("copying disks: {} of {} left", format_size(static_cast<double>(s.disk_remaining)),
                                  format_size(static_cast<double>(s.disk_total)));
    if (double rate = f.job.disk_bandwidth().rate(); rate > 0)
      out += fmt::format(" at {}, {} more", format_rate(rate), format_seconds(static_cast<double>(s.disk_remaining) / rate));
    return out + fmt::format("; then the memory, {}", format_size(static_cast<double>(f.settings.memory_bytes)));
  }
  std::string out = fmt::format("first pass over the memory: {} of {} left", format_size(f.job.remaining()),
                                format_size(static_cast<double>(std::max(s.memory_total, s.memory_remaining))));
  if (f.job.bandwidth().known()) out += "; " + rates(f);
  return out;
}

}  // namespace nodevirt::virt_handler::migration
