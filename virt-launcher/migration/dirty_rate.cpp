#include "virt-launcher/migration/dirty_rate.hpp"

#include <algorithm>
#include <thread>

namespace nodevirt::virt_launcher::migration {

using namespace std::chrono_literals;

namespace {

// QEMU looks at 512 pages of each GiB unless told otherwise (128 to 4096): of a small guest too few to tell anything.
std::int64_t pages_per_gib(std::int64_t memory_bytes) {
  constexpr std::int64_t kFewest = 512, kMost = 4096, kPages = 16384;
  std::int64_t gib = std::max<std::int64_t>(memory_bytes >> 30, 1);
  return std::clamp(kPages / gib, kFewest, kMost);
}

}  // namespace

Result<v1::DirtyRate> measure_dirty_rate(Monitor& monitor, unsigned period_ms) {
  auto seconds = std::clamp((period_ms + 999) / 1000, 1u, 60u);
  NV_TRY(Json memory, monitor.execute("query-memory-size-summary"));
  auto begun = monitor.execute("calc-dirty-rate", {{"calc-time", seconds}, {"mode", "page-sampling"},
                                                   {"sample-pages", pages_per_gib(int_at(memory, {"base-memory"}))}});
  // Measured for somebody else already: that result is as good.
  if (!begun.ok() && begun.error().code != Code::Internal) return begun.error();
  auto until = std::chrono::steady_clock::now() + std::chrono::seconds(seconds) + 5s;
  std::this_thread::sleep_for(std::chrono::seconds(seconds));
  for (;;) {
    NV_TRY(Json answer, monitor.execute("query-dirty-rate"));
    if (string_at(answer, {"status"}) == "measured") {
      v1::DirtyRate out;
      out.set_bytes_per_second(static_cast<std::uint64_t>(std::max<std::int64_t>(int_at(answer, {"dirty-rate"}), 0)) << 20);
      auto now = std::chrono::system_clock::now().time_since_epoch();
      out.set_taken_at_unix_ms(static_cast<std::uint64_t>(std::chrono::duration_cast<std::chrono::milliseconds>(now).count()));
      return out;
    }
    if (std::chrono::steady_clock::now() >= until) return Error(Code::DeadlineExceeded, "QEMU does not finish measuring the dirty rate");
    std::this_thread::sleep_for(50ms);
  }
}

}  // namespace nodevirt::virt_launcher::migration
