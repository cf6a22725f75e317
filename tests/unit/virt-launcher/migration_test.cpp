// The pure and the small parts of a migration: its record, its events, its samples.
#include <catch2/catch.hpp>

#include "virt-launcher/migration/events.hpp"
#include "virt-launcher/migration/migration.hpp"
#include "virt-launcher/migration/record.hpp"
#include "virt-launcher/migration/release.hpp"
#include "virt-launcher/migration/sample.hpp"

#include <csignal>
#include <sys/wait.h>
#include <unistd.h>

using namespace nodevirt;
using namespace nodevirt::virt_launcher::migration;
using namespace std::chrono_literals;
using Event = v1::MigrationEvent;

TEST_CASE("a migration's record survives writing and reading, and nothing else passes for one") {
  TempDir dir;
  CHECK(read_record(dir.path())->role == Role::none);
  Record r{"u1", Role::source, Step::released, "why", true, true, 250};
  REQUIRE(write_record(dir.path(), r).ok());
  auto back = read_record(dir.path());
  REQUIRE(back.ok());
  CHECK(to_json(*back) == to_json(r));
  for (const char* text : {"", "{}", "[]", "{\"uid\":\"u\",\"role\":\"source\",\"step\":\"gone\"}", "{\"uid\":\"\",\"role\":\"source\",\"step\":\"begun\"}"}) {
    INFO(text);
    REQUIRE(write_file_atomic(dir.path() / kRecordFile, text).ok());
    CHECK_FALSE(read_record(dir.path()).ok());
  }
}

TEST_CASE("a watcher hears first how things stand, then what happens, and of its own migration only") {
  Events events;
  auto early = events.watch("u1");
  CHECK(early->next(0ms)->kind() == Event::NONE);
  events.begin("u1", Event::SAMPLE);
  v1::MigrationSample sample;
  sample.set_iteration(3);
  events.publish("u1", Event::ITERATION, sample);
  events.publish("u2", Event::ENDED);
  events.publish("u1", Event::SWITCHOVER);
  CHECK(early->next(0ms)->kind() == Event::SAMPLE);
  auto iteration = early->next(0ms);
  CHECK(iteration->kind() == Event::ITERATION);
  CHECK(iteration->sample().iteration() == 3);
  CHECK(early->next(0ms)->kind() == Event::SWITCHOVER);
  CHECK_FALSE(early->next(0ms));

  auto late = events.watch("u1");
  auto first = late->next(0ms);
  CHECK(first->kind() == Event::SWITCHOVER);
  CHECK(first->sample().iteration() == 3);
  CHECK(events.watch("other")->next(0ms)->kind() == Event::NONE);

  events.publish("u1", Event::RELEASED);
  events.publish("u1", Event::ENDED, "libvirt lost it");
  CHECK(events.standing().kind() == Event::RELEASED);  // whatever the job says afterwards
}

TEST_CASE("a slow watcher loses samples and no decision") {
  Events events;
  events.begin("u", Event::SAMPLE);
  auto w = events.watch("u");
  events.publish("u", Event::SWITCHOVER);
  for (int i = 0; i < 2000; ++i) events.publish("u", Event::SAMPLE);
  events.publish("u", Event::ENDED);
  int decisions = 0, all = 0;
  while (auto e = w->next(0ms)) {
    ++all;
    if (e->kind() != Event::SAMPLE) ++decisions;
  }
  CHECK(decisions == 2);
  CHECK(all < 600);
}

TEST_CASE("libvirt's and QEMU's statistics become samples") {
  libvirt::Parameters p;
  p.numbers = {{"time_elapsed", 3523}, {"setup_time", 6}, {"memory_iteration", 2}, {"memory_total", 67502080}, {"memory_processed", 59674890},
               {"memory_remaining", 4096}, {"memory_bps", 342553794}, {"memory_page_size", 4096}, {"memory_dirty_rate", 10},
               {"downtime", 215}, {"auto_converge_throttle", 30}, {"memory_constant", 1996}, {"memory_normal", 14504}};
  auto running = sample_of(p, false);
  CHECK(running.iteration() == 2);
  CHECK(running.dirty_rate_bytes_per_second() == 40960);
  CHECK(running.expected_downtime_ms() == 215);
  CHECK(running.downtime_ms() == 0);
  CHECK(running.throttle_percent() == 30);
  auto done = sample_of(p, true);
  CHECK(done.completed());
  CHECK(done.downtime_ms() == 215);

  auto q = sample_of_qmp(Json::parse(R"({"status":"completed","total-time":1100,"downtime":59,"setup-time":4,"cpu-throttle-percentage":-7,
    "ram":{"total":1000,"transferred":900,"remaining":0,"page-size":4096,"dirty-pages-rate":2,"mbps":80.0,"dirty-sync-count":5,
    "duplicate":1,"normal":2,"postcopy-requests":3}})"));
  CHECK(q.completed());
  CHECK(q.downtime_ms() == 59);
  CHECK(q.bandwidth_bytes_per_second() == 10000000);
  CHECK(q.iteration() == 5);
  CHECK(q.throttle_percent() == 0);
  CHECK(sample_of_qmp(Json::parse(R"({"ram":{"mbps":1e300}})")).bandwidth_bytes_per_second() == 0);
}

TEST_CASE("a process is held, stopped, seen to stand still, and ended") {
  pid_t child = ::fork();
  if (child == 0)
    for (;;) ::pause();
  std::string name;
  Result<Process> p = Error(Code::NotFound, "");
  {
    CHECK(Process::open(child, "another-name").error().code == Code::NotFound);
    p = Process::open(child, "unit_virt");
    INFO((p.ok() ? "" : p.error().message));
    REQUIRE(p.ok());
  }
  CHECK_FALSE(p->stopped());
  CHECK(p->signal(SIGSTOP));
  CHECK(p->wait_stopped(5s));
  CHECK_FALSE(p->wait_end(0ms));
  CHECK(p->signal(SIGKILL));
  CHECK(p->wait_end(5s));
  int status = 0;
  ::waitpid(child, &status, 0);
  CHECK_FALSE(p->signal(SIGCONT));
  CHECK(Process::open(child, "unit_virt").error().code == Code::NotFound);
}

TEST_CASE("a QEMU that is gone is released, and only once that is recorded") {
  int recorded = 0;
  auto done = release(0, "/nonexistent", [&]() -> Result<void> { return ++recorded, Result<void>(); });
  REQUIRE(done.ok());
  CHECK(done->released);
  CHECK(recorded == 1);
  auto failed = release(0, "/nonexistent", []() -> Result<void> { return Error(Code::ResourceExhausted, "the disk is full"); });
  CHECK(failed.error().code == Code::ResourceExhausted);
}
