#include "virt-launcher/migration/sample.hpp"

#include <algorithm>
#include <chrono>

namespace nodevirt::virt_launcher::migration {

v1::MigrationSample sample_of(const libvirt::Parameters& p, bool completed) {
  v1::MigrationSample s;
  s.set_elapsed_ms(p.number("time_elapsed"));
  s.set_setup_ms(p.number("setup_time"));
  s.set_iteration(static_cast<std::uint32_t>(p.number("memory_iteration")));
  s.set_memory_total_bytes(p.number("memory_total"));
  s.set_memory_processed_bytes(p.number("memory_processed"));
  s.set_memory_remaining_bytes(p.number("memory_remaining"));
  s.set_bandwidth_bytes_per_second(p.number("memory_bps"));
  s.set_page_size(p.number("memory_page_size"));
  s.set_dirty_rate_bytes_per_second(p.number("memory_dirty_rate") * p.number("memory_page_size"));
  s.set_throttle_percent(static_cast<std::uint32_t>(p.number("auto_converge_throttle")));
  s.set_constant_pages(p.number("memory_constant"));
  s.set_normal_pages(p.number("memory_normal"));
  s.set_post_copy_requests(p.number("memory_postcopy_requests"));
  s.set_disk_total_bytes(p.number("disk_total"));
  s.set_disk_processed_bytes(p.number("disk_processed"));
  s.set_disk_remaining_bytes(p.number("disk_remaining"));
  s.set_completed(completed);
  if (completed) s.set_downtime_ms(p.number("downtime"));
  else s.set_expected_downtime_ms(p.number("downtime"));
  return s;
}

v1::MigrationSample sample_of_qmp(const Json& q) {
  auto at = [&](std::initializer_list<std::string_view> path) {
    std::int64_t v = int_at(q, path);
    return static_cast<std::uint64_t>(v < 0 ? 0 : v);
  };
  v1::MigrationSample s;
  s.set_elapsed_ms(at({"total-time"}));
  s.set_setup_ms(at({"setup-time"}));
  s.set_iteration(static_cast<std::uint32_t>(at({"ram", "dirty-sync-count"})));
  s.set_memory_total_bytes(at({"ram", "total"}));
  s.set_memory_processed_bytes(at({"ram", "transferred"}));
  s.set_memory_remaining_bytes(at({"ram", "remaining"}));
  s.set_page_size(at({"ram", "page-size"}));
  s.set_dirty_rate_bytes_per_second(at({"ram", "dirty-pages-rate"}) * at({"ram", "page-size"}));
  const Json* mbps = find(q, {"ram", "mbps"});
  if (double v = mbps && mbps->is_number() ? mbps->get<double>() : 0; v > 0 && v < 1e9)
    s.set_bandwidth_bytes_per_second(static_cast<std::uint64_t>(v * 1e6 / 8));
  s.set_constant_pages(at({"ram", "duplicate"}));
  s.set_normal_pages(at({"ram", "normal"}));
  s.set_post_copy_requests(at({"ram", "postcopy-requests"}));
  s.set_throttle_percent(static_cast<std::uint32_t>(at({"cpu-throttle-percentage"})));
  s.set_completed(string_at(q, {"status"}) == "completed");
  s.set_expected_downtime_ms(at({"expected-downtime"}));
  s.set_downtime_ms(at({"downtime"}));
  return s;
}

bool add_copies(v1::MigrationSample& s, const Json& jobs) {
  if (!jobs.is_array()) return false;
  std::uint64_t total = 0, copied = 0;
  bool any = false;
  for (const Json& job : jobs) {
    if (string_at(job, {"type"}) != "mirror") continue;
    any = true;
    // What the guest writes meanwhile is added to both.
    auto length = static_cast<std::uint64_t>(std::max<std::int64_t>(int_at(job, {"len"}), 0));
    total += length;
    copied += std::min(static_cast<std::uint64_t>(std::max<std::int64_t>(int_at(job, {"offset"}), 0)), length);
  }
  if (!any) return false;
  s.set_disk_total_bytes(total);
  s.set_disk_processed_bytes(copied);
  s.set_disk_remaining_bytes(total - copied);
  return true;
}

v1::MigrationSample final_sample(v1::MigrationSample end, const v1::MigrationSample& before) {
  bool told = end.memory_total_bytes() > 0;
  v1::MigrationSample s = told ? std::move(end) : before;
  s.set_elapsed_ms(std::max(s.elapsed_ms(), before.elapsed_ms()));
  s.set_setup_ms(std::max(s.setup_ms(), before.setup_ms()));
  s.set_iteration(std::max(s.iteration(), before.iteration()));
  std::uint64_t disks = std::max(s.disk_total_bytes(), before.disk_total_bytes());
  s.set_disk_total_bytes(disks);
  s.set_disk_processed_bytes(disks);
  s.set_disk_remaining_bytes(0);
  s.set_memory_remaining_bytes(0);
  s.set_expected_downtime_ms(0);
  s.set_completed(told);
  return s;
}

void stamp_now(v1::MigrationSample& sample) {
  auto now = std::chrono::system_clock::now().time_since_epoch();
  sample.set_taken_at_unix_ms(static_cast<std::uint64_t>(std::chrono::duration_cast<std::chrono::milliseconds>(now).count()));
}

}  // namespace nodevirt::virt_launcher::migration
