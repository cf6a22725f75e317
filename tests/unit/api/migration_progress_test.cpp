// The progress of a migration as text in an annotation, and as words for people.
#include "api/migration_progress.hpp"

#include <catch2/catch.hpp>

using namespace nodevirt;
using namespace nodevirt::api;

namespace {

MigrationProgress sample() {
  MigrationProgress p;
  p.uid = "u-1";
  p.mode = "PreCopy";
  p.source = "node-1";
  p.target = "node-2";
  p.iteration = 3;
  p.processed_bytes = 700u << 20;
  p.total_bytes = 1024u << 20;
  p.remaining_bytes = 256u << 20;
  p.dirty_rate = 99u << 20;
  p.bandwidth = 60u << 20;
  p.throttle_percent = 45;
  p.downtime_limit_ms = 300;
  p.predicted_downtime_ms = 280;
  p.predicted_end_s = 12.3;
  p.explanation = "writes 99 MiB/s into a 120 MiB working set";
  p.sampled_at = "2026-01-02T03:04:05Z";
  return p;
}

}  // namespace

TEST_CASE("progress is read as it was written") {
  auto p = sample();
  auto text = format_migration_progress(p);
  CHECK(text.find('\n') == std::string::npos);
  auto back = parse_migration_progress(text);
  REQUIRE(back.ok());
  CHECK(*back == p);
  CHECK(format_migration_progress(*back) == text);

  p.predicted_end_s.reset();
  p.source.clear();
  p.target.clear();
  text = format_migration_progress(p);
  CHECK(text.find("\"predictedEndSeconds\":null") != std::string::npos);
  CHECK(text.find("source") == std::string::npos);
  CHECK(*parse_migration_progress(text) == p);
}

TEST_CASE("the disks and the last word are part of it where there are such") {
  auto p = sample();
  CHECK(format_migration_progress(p).find("isk") == std::string::npos);
  CHECK(format_migration_progress(p).find("done") == std::string::npos);
  p.disk_total_bytes = 24u << 20;
  p.disk_remaining_bytes = 6u << 20;
  CHECK(*parse_migration_progress(format_migration_progress(p)) == p);
  p.done = true;
  p.seconds = 4.25;
  p.downtime_ms = 61;
  auto text = format_migration_progress(p);
  CHECK(*parse_migration_progress(text) == p);
  CHECK(text.find("\"downtimeMs\":61") != std::string::npos);
  p.seconds = 0;
  p.downtime_ms = 0;
  text = format_migration_progress(p);
  CHECK(text.find("seconds") == std::string::npos);
  CHECK(*parse_migration_progress(text) == p);
  auto unfinished = parse_migration_progress(R"({"uid":"u","seconds":7,"downtimeMs":9})");
  REQUIRE(unfinished.ok());
  CHECK(unfinished->downtime_ms == 0);
  CHECK(parse_migration_progress(R"({"uid":"u","done":true,"seconds":-7})")->seconds == 0);
}

TEST_CASE("what is no progress is refused, what is odd is bounded") {
  for (std::string bad : {std::string(""), std::string("[]"), std::string("{}"), std::string(R"({"uid":""})"),
                          std::string(R"({"uid":5})"), R"({"uid":"u","x":")" + std::string(5000, 'x') + "\"}"})
    DYNAMIC_SECTION(bad.substr(0, 20)) { CHECK_FALSE(parse_migration_progress(bad).ok()); }
  auto odd = parse_migration_progress(
      R"({"uid":"u","iteration":-3,"remainingBytes":1e300,"totalBytes":2.5,"throttlePercent":4000,)"
      R"("predictedEndSeconds":-7,"mode":[1],"dirtyRateBytesPerSecond":18446744073709551615})");
  REQUIRE(odd.ok());
  CHECK(odd->iteration == 0);
  CHECK(odd->remaining_bytes == 1ull << 60);
  CHECK(odd->total_bytes == 2);
  CHECK(odd->throttle_percent == 100);
  CHECK(odd->predicted_end_s == 0.0);
  CHECK(odd->mode.empty());
  CHECK(odd->dirty_rate == 1ull << 60);
}

TEST_CASE("a long explanation is cut on a character's border") {
  auto p = sample();
  p.explanation = std::string(511, 'x') + "\xc3\xa4\xc3\xa4";
  auto back = parse_migration_progress(format_migration_progress(p));
  REQUIRE(back.ok());
  CHECK(back->explanation == std::string(511, 'x'));
}

TEST_CASE("only what somebody would notice is written again") {
  auto p = sample();
  auto q = p;
  q.sampled_at = "later";
  CHECK_FALSE(worth_writing(p, q));
  q.predicted_end_s = 12.4;
  q.remaining_bytes += 1000;
  CHECK_FALSE(worth_writing(p, q));
  q.remaining_bytes = 250u << 20;
  CHECK(worth_writing(p, q));
  q = p;
  q.predicted_end_s.reset();
  CHECK(worth_writing(p, q));
  q = p;
  q.throttle_percent = 46;
  CHECK(worth_writing(p, q));
  q = p;
  q.explanation += ".";
  CHECK(worth_writing(p, q));
  q = p;
  q.done = true;
  CHECK(worth_writing(p, q));
}

TEST_CASE("one line for people") {
  auto p = sample();
  CHECK(summarize(p) == "iteration 3, 75 % in step, 256 MiB of 1.0 GiB left, dirties 99 MiB/s, sends 60 MiB/s, "
                        "slowed down by 45 %, ends in 12 s with a pause of 0.3 s");
  p.predicted_end_s.reset();
  CHECK(summarize(p).ends_with("no end in sight"));
  p.mode = "PostCopy";
  CHECK(summarize(p).starts_with("runs on the target"));
  CHECK(progress_percent(p) == 75);
  p.remaining_bytes = 0;
  CHECK(progress_percent(p) == 99);
  p.total_bytes = 0;
  CHECK(progress_percent(p) == 0);
}

TEST_CASE("disks on their way, in one line") {
  auto p = sample();
  p.iteration = 0;
  p.dirty_rate = 0;
  p.throttle_percent = 0;
  p.bandwidth = 8u << 20;
  p.disk_total_bytes = 24u << 20;
  p.disk_remaining_bytes = 6u << 20;
  p.total_bytes = 280u << 20;
  p.remaining_bytes = 262u << 20;
  p.predicted_end_s = 33;
  CHECK(copies_disks(p));
  CHECK(summarize(p) == "copies disks, 6 % in step, 6.0 MiB of 24 MiB of disks left, sends 8.0 MiB/s, ends in 33 s with a pause of 0.3 s");
  p.iteration = 1;
  CHECK_FALSE(copies_disks(p));
  CHECK(summarize(p).starts_with("iteration 1, 6 % in step, 262 MiB of 280 MiB left"));
}

TEST_CASE("the last word") {
  auto p = sample();
  p.done = true;
  p.seconds = 4.21;
  p.downtime_ms = 61;
  CHECK(summarize(p) == "done in 4.2 s with a pause of 0.06 s, 700 MiB sent in 3 iterations");
  CHECK(progress_percent(p) == 100);
  p.seconds = 0;
  p.downtime_ms = 0;
  p.iteration = 1;
  CHECK(summarize(p) == "done, 700 MiB sent in 1 iteration");
  p.processed_bytes = p.total_bytes = p.iteration = 0;
  CHECK(summarize(p) == "done");
}

TEST_CASE("sizes, rates and times in words") {
  CHECK(format_size(0) == "0 B");
  CHECK(format_size(-5) == "0 B");
  CHECK(format_size(999) == "999 B");
  CHECK(format_size(1024) == "1.0 KiB");
  CHECK(format_size(1023.9 * 1024) == "1.0 MiB");
  CHECK(format_size(120.0 * (1 << 20)) == "120 MiB");
  CHECK(format_rate(1.5 * (1 << 30)) == "1.5 GiB/s");
  CHECK(format_seconds(0) == "0 s");
  CHECK(format_seconds(0.04) == "0.04 s");
  CHECK(format_seconds(1.72) == "1.7 s");
  CHECK(format_seconds(42) == "42 s");
  CHECK(format_seconds(180) == "3 min");
  CHECK(format_seconds(7200) == "2 h");
  CHECK(format_seconds(150000) == "42 h");
  CHECK(format_seconds(200000) == "2 days");
}
