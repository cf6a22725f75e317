#include "virt-launcher/migration/disk_speed.hpp"

#include <algorithm>

namespace nodevirt::virt_launcher::migration {

Result<bool> share_among_disks(Monitor& monitor, std::uint64_t mib_per_second, std::size_t disks) {
  NV_TRY(Json jobs, monitor.execute("query-block-jobs"));
  if (!jobs.is_array()) return false;
  std::vector<std::string> copies;
  for (const Json& job : jobs)
    if (string_at(job, {"type"}) == "mirror") copies.push_back(string_at(job, {"device"}));
  if (copies.size() < disks) return false;
  // Beyond 2^40 MiB/s there is nothing to limit, and bytes would not fit.
  std::uint64_t all = mib_per_second >= (1ull << 40) ? 0 : mib_per_second << 20;
  std::uint64_t each = all == 0 ? 0 : std::max<std::uint64_t>(all / std::max<std::size_t>(copies.size(), 1), 1);
  for (auto& copy : copies) NV_TRY_VOID(monitor.execute("block-job-set-speed", {{"device", copy}, {"speed", each}}));
  return true;
}

}  // namespace nodevirt::virt_launcher::migration
