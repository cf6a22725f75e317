// What is told of a migration while it goes on and in the end, over recorded jobs and scripted ones.
#include "two_nodes.hpp"
#include "virt-handler/migration/source/requests.hpp"

using namespace nodevirt;
using namespace nodevirt::virt_handler::migration;
using namespace nodevirt::virt_handler::migration::test;

namespace {

v1::MigrationEvent recorded_event(const Json& j) {
  v1::MigrationEvent out;
  Kind::Kind kind = Kind::NONE;
  REQUIRE(Kind::Kind_Parse(string_at(j, {"kind"}), &kind));
  out.set_kind(kind);
  out.set_error(string_at(j, {"error"}));
  v1::MigrationSample& s = *out.mutable_sample();
  auto number = [&](std::string_view key) { return static_cast<std::uint64_t>(int_at(j, {key})); };
  s.set_taken_at_unix_ms(number("takenAtUnixMs"));
  s.set_elapsed_ms(number("elapsedMs"));
  s.set_setup_ms(number("setupMs"));
  s.set_iteration(static_cast<std::uint32_t>(number("iteration")));
  s.set_memory_total_bytes(number("memoryTotalBytes"));
  s.set_memory_processed_bytes(number("memoryProcessedBytes"));
  s.set_memory_remaining_bytes(number("memoryRemainingBytes"));
  s.set_bandwidth_bytes_per_second(number("bandwidthBytesPerSecond"));
  s.set_dirty_rate_bytes_per_second(number("dirtyRateBytesPerSecond"));
  s.set_expected_downtime_ms(number("expectedDowntimeMs"));
  s.set_throttle_percent(static_cast<std::uint32_t>(number("throttlePercent")));
  s.set_constant_pages(number("constantPages"));
  s.set_normal_pages(number("normalPages"));
  s.set_page_size(number("pageSize"));
  s.set_disk_total_bytes(number("diskTotalBytes"));
  s.set_disk_processed_bytes(number("diskProcessedBytes"));
  s.set_disk_remaining_bytes(number("diskRemainingBytes"));
  s.set_completed(bool_at(j, {"completed"}));
  s.set_downtime_ms(number("downtimeMs"));
  return out;
}

std::vector<v1::MigrationEvent> recorded(const std::string& name) {
  auto text = read_file(std::filesystem::path(NV_SOURCE_DIR) / "tests/unit/virt-handler/migration/fixtures" / (name + ".json"), 4u << 20);
  REQUIRE(text.ok());
  auto json = parse_json(*text);
  REQUIRE(json.ok());
  std::vector<v1::MigrationEvent> out;
  for (const Json& j : *json) out.push_back(recorded_event(j));
  REQUIRE(out.size() > 5);
  return out;
}

constexpr std::uint64_t kMib = 1 << 20;

}  // namespace

TEST_CASE("recorded jobs: what is told never goes back, and ends with the last word") {
  for (const char* name : {"idle", "idle-limited", "busy-unlimited", "busy-limited-never", "busy-limited-auto-converge", "disks-limited"}) {
    DYNAMIC_SECTION(name) {
      Settings settings;
      settings.memory_bytes = 64 * kMib;
      Policy policy(settings);
      std::optional<api::MigrationProgress> told;
      v1::MigrationSample last;
      int percent = 0, of_disks = 0;
      for (const auto& e : recorded(name)) {
        Sample s = sample_of(e.sample());
        if (e.kind() == Kind::RELEASED || e.kind() == Kind::ENDED) {
          api::MigrationProgress end = final_progress("m1", told, s, {.all = std::nullopt, .pause = 61ms}, {});
          CHECK(end.done);
          CHECK(end.remaining_bytes == 0);
          CHECK(end.total_bytes >= 32 * kMib);
          CHECK(end.iteration >= 2);
          CHECK(end.downtime_ms == 61);
          if (told) CHECK(end.processed_bytes >= told->processed_bytes);
          if (told) CHECK(end.disk_total_bytes == told->disk_total_bytes);
          CHECK(api::progress_percent(end) == 100);
          std::string words = api::summarize(end);
          INFO(words);
          CHECK(words.starts_with("done in "));
          CHECK(words.find("with a pause of 0.06 s, ") != std::string::npos);
          CHECK(words.find(" 0 B") == std::string::npos);
        } else if (e.kind() == Kind::SAMPLE) {
          auto now = progress_of("m1", s, policy.step(s, Clock::Time{} + std::chrono::milliseconds(s.elapsed_ms)), settings.memory_bytes, {});
          if (now.total_bytes == 0) continue;
          told = now;
          int p = api::progress_percent(now);
          CHECK(p <= 99);
          if (now.iteration <= 1) CHECK(p >= percent);
          percent = std::max(percent, p);
          if (api::copies_disks(now)) {
            ++of_disks;
            CHECK(now.explanation.starts_with("copying disks: "));
          }
        }
      }
      REQUIRE(told);
      if (name == std::string("disks-limited")) CHECK(of_disks > 10);
    }
  }
}

TEST_CASE("the disks' copy is told as it goes") {
  World world;
  world.change([](Json& vmi) { vmi["spec"]["domain"]["memory"] = {{"guest", "64Mi"}}; });
  REQUIRE(world.until([&] { return world.one.launcher->count("migrate") == 1; }));
  v1::MigrationSample s;
  s.set_disk_total_bytes(24 * kMib);
  for (int tenth = 1; tenth <= 20; ++tenth) {
    s.set_elapsed_ms(static_cast<std::uint64_t>(tenth) * 100);
    s.set_taken_at_unix_ms(s.elapsed_ms());
    s.set_disk_processed_bytes(static_cast<std::uint64_t>(tenth) * kMib);
    s.set_disk_remaining_bytes(24 * kMib - s.disk_processed_bytes());
    world.one.launcher->tell(Kind::SAMPLE, "", s);
  }
  // Once a second at most.
  REQUIRE(world.until([&] {
    world.one.launcher->tell(Kind::SAMPLE, "", s);
    return world.progress().disk_remaining_bytes == 4 * kMib;
  }));
  auto told = world.progress();
  CHECK(told.total_bytes == (24 + 64) * kMib);
  CHECK(told.remaining_bytes == (4 + 64) * kMib);
  CHECK(told.bandwidth == 10 * kMib);
  REQUIRE(told.predicted_end_s);
  CHECK(*told.predicted_end_s == Approx(6.8));
  CHECK(told.explanation == "copying disks: 4.0 MiB of 24 MiB left at 10 MiB/s, 0.4 s more; then the memory, 64 MiB");
}

TEST_CASE("what was sent, where QEMU was not asked at its end") {
  Sample end;
  end.iteration = 2;
  auto sent = [&](const std::optional<api::MigrationProgress>& before) { return final_progress("m1", before, end, {.sent_bytes = 9 * kMib}, {}); };
  CHECK(sent({}).processed_bytes == 9 * kMib);
  CHECK(sent({}).iteration == 2);
  end.memory_total = 64 * kMib;   // of some time before the end
  end.memory_processed = 5 * kMib;
  CHECK(sent({}).processed_bytes == 9 * kMib);
  api::MigrationProgress before;
  before.processed_bytes = 10 * kMib;
  CHECK(sent(before).processed_bytes == 10 * kMib);
  end.completed = true;   // QEMU's own count
  CHECK(sent({}).processed_bytes == 5 * kMib);
}

TEST_CASE("the last word of a migration that was over before the first") {
  World world;
  v1::MigrationSample end;
  SECTION("its release tells the figures") {
    end.set_completed(true);
    end.set_elapsed_ms(69);
    end.set_iteration(2);
    end.set_memory_total_bytes(32 * kMib);
    end.set_memory_processed_bytes(kMib);
    end.set_downtime_ms(53);
  }
  SECTION("the launcher does not know them any more") {}
  world.one.launcher->last_sample = end;
  world.to_switchover();
  world.load();
  REQUIRE(world.until([&] { return world.is("completed"); }));
  world.one.launcher->tell(Kind::ENDED);
  REQUIRE(world.until([&] { return world.one.launcher->count("delete") == 1; }));
  auto told = world.progress();
  CHECK(told.done);
  CHECK(told.seconds > 0);
  CHECK(told.downtime_ms > 0);
  CHECK(static_cast<double>(told.downtime_ms) <= told.seconds * 1000 + 10);  // which is told in hundredths
  CHECK(told.iteration == end.iteration());
  CHECK(told.total_bytes == end.memory_total_bytes());
  CHECK(api::summarize(told).starts_with("done in "));
}

TEST_CASE("the last word takes the place of one from the middle, and a job's late end takes nothing from it") {
  World world;
  v1::MigrationSample end;
  end.set_completed(true);
  end.set_elapsed_ms(3000);
  end.set_iteration(4);
  end.set_memory_total_bytes(64 * kMib);
  end.set_memory_processed_bytes(70 * kMib);
  world.one.launcher->last_sample = end;
  REQUIRE(world.until([&] { return world.one.launcher->count("migrate") == 1; }));
  v1::MigrationSample s = end;
  s.set_completed(false);
  s.set_memory_remaining_bytes(9 * kMib);
  world.one.launcher->tell(Kind::SAMPLE, "", s);
  REQUIRE(world.until([&] { return world.progress().remaining_bytes == 9 * kMib; }));
  world.one.launcher->tell(Kind::SWITCHOVER, "", s);
  world.load();
  REQUIRE(world.until([&] { return world.is("completed"); }));
  world.one.launcher->tell(Kind::SAMPLE, "", s);
  world.one.launcher->tell(Kind::ENDED, "libvirt lost it", s);
  REQUIRE(world.until([&] { return world.one.launcher->count("delete") == 1; }));
  auto told = world.progress();
  CHECK(told.done);
  CHECK(told.remaining_bytes == 0);
  CHECK(told.processed_bytes == 70 * kMib);
  CHECK(told.iteration == 4);
}
