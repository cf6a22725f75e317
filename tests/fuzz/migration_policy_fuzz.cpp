// fuzz: virt_handler_lib
// A migration's annotations and configuration as others might have written them, and a job's samples with any figures
// in any order: the policy never crashes, never gives up in post-copy, and keeps its actions within their bounds.
#include <cstdint>
#include <cstring>

#include "api/migration_config.hpp"
#include "api/migration_progress.hpp"
#include "pkg/base/check.hpp"
#include "virt-handler/migration/policy/policy.hpp"

namespace {

using namespace nodevirt;
using namespace nodevirt::virt_handler::migration;

/// Numbers out of the input; zeros when it is used up.
struct Reader {
  const std::uint8_t* data;
  std::size_t size;
  std::uint64_t next(std::size_t bytes) {
    std::uint64_t out = 0;
    std::size_t have = std::min(bytes, size);
    std::memcpy(&out, data, have);
    data += have;
    size -= have;
    return out;
  }
};

void texts(std::string_view text) {
  auto progress = api::parse_migration_progress(text);
  if (progress.ok()) {
    auto written = api::format_migration_progress(*progress);
    auto again = api::parse_migration_progress(written);
    if (written.size() <= 4096) NV_CHECK(again.ok() && api::format_migration_progress(*again) == written);
    (void)api::summarize(*progress);
    NV_CHECK(api::progress_percent(*progress) < 100);
  }
  auto json = parse_json(text, 16);
  if (!json.ok()) return;
  auto config = api::apply_migration_policy(api::cluster_migration_config(*json), *json);
  config = api::apply_force(config, true);
  NV_CHECK(config.max_throttle_percent <= 99);
  auto back = api::read_migration_config(api::to_json(config), api::format_migration_settings("u", config), "u");
  NV_CHECK(back.max_downtime_ms == config.max_downtime_ms && back.allow_auto_converge == config.allow_auto_converge);
  (void)api::check_migration_policy(*json);
  (void)api::match_migration_policy({&*json, &*json}, {{"a", "b"}}, {});
}

void samples(Reader in) {
  Settings settings;
  auto flags = in.next(1);
  settings.config.allow_auto_converge = flags & 1;
  settings.config.allow_post_copy = flags & 2;
  settings.config.allow_workload_disruption = flags & 4;
  settings.post_copy_possible = flags & 8;
  if (flags & 16) settings.config.stall_detector.emplace();
  if (flags & 32) settings.config.downtime_tuning.emplace();
  settings.config.bandwidth_bytes_per_second = flags & 64 ? in.next(5) : 0;
  settings.config.max_downtime_ms = in.next(3);
  settings.config.max_throttle_percent = static_cast<std::uint32_t>(in.next(1) % 100);
  settings.memory_bytes = in.next(6);
  settings.dirty_rate_before = in.next(6);
  Policy policy(settings);
  (void)policy.start();
  bool post_copy = false;
  Sample s;
  s.page_size = 4096;
  std::int64_t now = 0;
  while (in.size > 0) {
    auto what = in.next(1);
    now += static_cast<std::int64_t>(in.next(2)) * 1'000'000;
    Decision d;
    if (what % 8 == 7) {
      d = policy.tick(Clock::Time{} + std::chrono::nanoseconds(now));
    } else {
      s.elapsed_ms = what & 8 ? in.next(8) : s.elapsed_ms + in.next(2);
      s.taken_at_ms += in.next(1);
      s.iteration = what & 16 ? static_cast<std::uint32_t>(in.next(4)) : s.iteration + (what & 1);
      s.memory_remaining = what & 32 ? in.next(8) : in.next(4);
      s.memory_processed = what & 64 ? in.next(8) : s.memory_processed + in.next(4);
      s.throttle_percent = static_cast<std::uint32_t>(in.next(what & 128 ? 4 : 1));
      d = policy.step(s, Clock::Time{} + std::chrono::nanoseconds(now));
    }
    NV_CHECK(d.explanation.size() < 4096);
    for (auto& a : d.actions) {
      NV_CHECK(!(post_copy && a.kind == ActionKind::Abort));
      NV_CHECK(a.kind != ActionKind::SetDowntimeLimit || (a.value >= 1 && a.value <= 2'000'000));
      NV_CHECK(a.kind != ActionKind::StartPostCopy || (flags & 10) == 10);
      NV_CHECK(a.kind != ActionKind::PauseGuest || (flags & 4));
      if (a.kind == ActionKind::SetThrottle) {
        auto& t = a.throttle;
        NV_CHECK(t.initial_percent >= 1 && t.initial_percent <= 99 && t.increment_percent >= 1 &&
                 t.increment_percent <= 99 && t.maximum_percent <= 99 && t.trigger_percent >= 1 &&
                 t.trigger_percent <= 100);
        NV_CHECK((flags & 1) && t.initial_percent <= settings.config.max_throttle_percent);
      }
      if ((what & 3) == 3) policy.failed(a, Clock::Time{});
      else if (a.kind == ActionKind::StartPostCopy) post_copy = true;
    }
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size > 0 && data[0] == '{') texts({reinterpret_cast<const char*>(data), size});
  else samples({data, size});
  return 0;
}
