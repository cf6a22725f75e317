// The pure and the small parts of a migration: its record, its events, its samples.
#include <catch2/catch.hpp>

#include "virt-launcher/migration/cause.hpp"
#include "virt-launcher/migration/events.hpp"
#include "virt-launcher/migration/migration.hpp"
#include "virt-launcher/migration/record.hpp"
#include "virt-launcher/migration/release.hpp"
#include "virt-launcher/migration/sample.hpp"

#include <csignal>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>

#include "tests/support/scripted_monitor.hpp"

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

TEST_CASE("a pod that goes has told whoever watches how its migration ended") {
  Events events;
  events.begin("u", Event::SAMPLE);
  CHECK(events.drained());  // nobody watches
  auto other = events.watch("other"), w = events.watch("u");
  other->next(0ms);
  other->delivered();
  CHECK_FALSE(events.drained());
  w->next(0ms);
  CHECK_FALSE(events.drained());  // on its way
  w->delivered();
  CHECK(events.drained());
  events.publish("u", Event::ENDED);
  CHECK_FALSE(events.drained());
  w.reset();
  CHECK(events.drained());
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

TEST_CASE("QEMU's block jobs tell how far the disks are") {
  v1::MigrationSample s;
  CHECK_FALSE(add_copies(s, Json::parse("[]")));
  CHECK_FALSE(add_copies(s, Json::parse(R"({"len":5})")));
  CHECK_FALSE(add_copies(s, Json::parse(R"([{"type":"backup","device":"x","len":100,"offset":10}])")));
  CHECK(s.disk_total_bytes() == 0);
  REQUIRE(add_copies(s, Json::parse(R"([{"auto-finalize":true,"io-status":"ok","device":"drive-ua-root","auto-dismiss":false,"busy":true,
      "len":25165824,"offset":8388608,"status":"running","paused":false,"speed":2097152,"ready":false,"type":"mirror"},
    {"device":"drive-ua-scratch","len":0,"offset":0,"status":"ready","ready":true,"type":"mirror"},
    {"device":"odd","len":-7,"offset":12,"type":"mirror"}])")));
  CHECK(s.disk_total_bytes() == 25165824);
  CHECK(s.disk_processed_bytes() == 8388608);
  CHECK(s.disk_remaining_bytes() == 16777216);
}

TEST_CASE("a job's last sample has what was known before and is not told in the end") {
  v1::MigrationSample before, end;
  before.set_elapsed_ms(9000);
  before.set_iteration(2);
  before.set_memory_total_bytes(1000);
  before.set_memory_processed_bytes(700);
  before.set_memory_remaining_bytes(300);
  before.set_disk_total_bytes(500);
  before.set_disk_processed_bytes(450);
  before.set_disk_remaining_bytes(50);
  end.set_elapsed_ms(271);     // QEMU's own part of it
  end.set_iteration(3);
  end.set_memory_total_bytes(1000);
  end.set_memory_processed_bytes(1100);
  end.set_downtime_ms(68);
  auto last = final_sample(end, before);
  CHECK(last.completed());
  CHECK(last.elapsed_ms() == 9000);
  CHECK(last.iteration() == 3);
  CHECK(last.memory_processed_bytes() == 1100);
  CHECK(last.disk_total_bytes() == 500);
  CHECK(last.disk_processed_bytes() == 500);
  CHECK(last.disk_remaining_bytes() == 0);
  CHECK(last.downtime_ms() == 68);
  last = final_sample({}, before);   // QEMU was gone
  CHECK(last.memory_processed_bytes() == 700);
  CHECK(last.memory_remaining_bytes() == 0);
  CHECK_FALSE(last.completed());  // libvirt may know more
  CHECK(final_sample({}, {}).memory_total_bytes() == 0);
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
  CHECK_FALSE(p->ends());
  CHECK_FALSE(p->wait_end(0ms));
  rlimit files{};
  ::getrlimit(RLIMIT_NOFILE, &files);
  rlimit none{0, files.rlim_max};
  ::setrlimit(RLIMIT_NOFILE, &none);  // who cannot look does not say that it is gone
  bool ends = p->ends(), stopped = p->stopped();
  auto other = Process::open(child, "unit_virt");
  ::setrlimit(RLIMIT_NOFILE, &files);
  CHECK_FALSE(ends);
  CHECK_FALSE(stopped);
  CHECK((!other.ok() && other.error().code != Code::NotFound));
  CHECK(p->signal(SIGKILL));
  CHECK(p->wait_ends(5s));
  CHECK_FALSE(p->stopped());
  CHECK_FALSE(p->wait_stopped(std::chrono::minutes(10)));  // it never will: that is seen at once
  CHECK(p->wait_end(5s));
  CHECK(p->ends());
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
  auto unknown = release(kUnknownProcess, "/nonexistent", []() -> Result<void> { return {}; });
  REQUIRE_FALSE(unknown.ok());
  CHECK(unknown.error().code == Code::Unavailable);
}

namespace {

// A process that passes for QEMU, and a monitor that speaks for it.
struct Qemu {
  Qemu() {
    pid = ::fork();
    if (pid == 0) {
      ::prctl(PR_SET_NAME, "qemu-system-x86");
      for (;;) ::pause();
    }
    while (!Process::open(pid, "qemu-system").ok()) ::usleep(1000);
  }
  ~Qemu() {
    ::kill(pid, SIGKILL);
    ::waitpid(pid, nullptr, 0);
  }
  bool alive() const { return Process::open(pid, "qemu-system").ok(); }
  bool frozen() const {
    auto p = Process::open(pid, "qemu-system");
    return p.ok() && p->stopped();
  }
  pid_t pid;
};

std::string reply(int id, const std::string& value) { return "{\"return\": " + value + ", \"id\": " + std::to_string(id) + "}\n"; }

}  // namespace

TEST_CASE("the source is released only when its guest stands, stood and is whole elsewhere") {
  struct Case {
    const char* name;
    std::vector<std::string> answers;  // after qmp_capabilities: query-status, query-migrate, ...
    bool record_fails;
    bool released, kept, alive;
  };
  std::string paused = reply(2, "{\"status\": \"postmigrate\", \"running\": false}");
  std::string done = reply(3, "{\"status\": \"completed\", \"downtime\": 40, \"ram\": {\"total\": 100}}");
  for (auto& c : {Case{"it stands, and the migration is complete", {paused, done, ""}, false, true, false, false},
                  Case{"it runs", {reply(2, "{\"status\": \"running\", \"running\": true}"), ""}, false, false, true, true},
                  Case{"it went on after it was asked", {paused, done + "{\"event\": \"RESUME\"}\n", ""}, false, false, true, true},
                  Case{"the migration failed", {paused, reply(3, "{\"status\": \"failed\"}"), ""}, false, false, true, true},
                  Case{"the migration was cancelled", {paused, reply(3, "{\"status\": \"cancelled\"}"), ""}, false, false, true, true},
                  Case{"there was no migration", {paused, reply(3, "{}"), ""}, false, false, true, true},
                  Case{"the monitor closes", {paused}, false, false, false, true},
                  Case{"the state is strange", {reply(2, "{\"status\": \"internal-error\"}"), done, ""}, false, false, false, true},
                  Case{"the record cannot be written", {paused, done, ""}, true, false, false, true}}) {
    DYNAMIC_SECTION(c.name) {
      Qemu qemu;
      std::vector<std::string> answers{reply(1, "{}")};
      answers.insert(answers.end(), c.answers.begin(), c.answers.end());
      test::ScriptedMonitor monitor(test::kGreeting, answers);
      int recorded = 0;
      auto r = release(qemu.pid, monitor.path(), [&]() -> Result<void> {
        ++recorded;
        CHECK(qemu.frozen());
        if (c.record_fails) return Error(Code::ResourceExhausted, "the disk is full");
        return {};
      });
      CHECK((r.ok() && r->released) == c.released);
      CHECK((r.ok() && !r->released) == c.kept);
      if (!r.ok() && !c.record_fails) CHECK(r.error().reason == "NotYet");
      CHECK(recorded == (c.released || c.record_fails));
      for (int i = 0; i < 5000 && qemu.alive() != c.alive; ++i) ::usleep(1000);  // it ends, and may not have ended
      CHECK(qemu.alive() == c.alive);
      if (c.alive) {
        for (int i = 0; i < 1000 && qemu.frozen(); ++i) ::usleep(1000);
        CHECK_FALSE(qemu.frozen());
      }
      if (c.released) CHECK(r->sample->downtime_ms() == 40);
    }
  }
}

TEST_CASE("a QEMU that is ending by itself is released without a word of it") {
  Qemu qemu;
  ::kill(qemu.pid, SIGTERM);
  auto p = Process::open(qemu.pid, "qemu-system");
  if (p.ok()) REQUIRE(p->wait_ends(5s));
  auto done = release(qemu.pid, "/nonexistent", []() -> Result<void> { return {}; });
  REQUIRE(done.ok());
  CHECK(done->released);
}

TEST_CASE("a QEMU that has closed its monitors is about to end, and that is waited for") {
  Qemu qemu;
  std::thread end([&] {
    ::usleep(50'000);
    ::kill(qemu.pid, SIGTERM);
  });
  auto done = release(qemu.pid, "/nonexistent", []() -> Result<void> { return {}; });
  end.join();
  INFO((done.ok() ? "" : done.error().message));
  REQUIRE(done.ok());
  CHECK(done->released);
}

TEST_CASE("what was recorded as released is ended, frozen or not") {
  Qemu qemu;
  ::kill(qemu.pid, SIGSTOP);
  CHECK(end_qemu(qemu.pid).ok());
  CHECK_FALSE(qemu.alive());
  CHECK(end_qemu(qemu.pid).ok());
}

TEST_CASE("why a migration failed is told in words, before libvirt's") {
  struct Case { const char* words; const char* want; };
  for (auto& c : {Case{"operation failed: migration of disk vda failed: No space left on device", "the target has no disk space left ("},
                  Case{"process exited while connecting to monitor: cannot set up guest memory 'pc.ram': Cannot allocate memory", "the target has not enough memory ("},
                  Case{"operation failed: guest CPU doesn't match specification: missing features: aes", "the target's processor lacks"},
                  Case{"internal error: process exited while connecting to monitor", "the target's QEMU does not start ("},
                  Case{"internal error: qemu unexpectedly closed the monitor", "the target's QEMU has ended"},
                  Case{"Unable to write to socket: Broken pipe", "the connection to the target's QEMU was lost ("},
                  Case{"internal error: client socket is closed", "the connection to the target's libvirtd was lost ("},
                  Case{"something new", "something new"}}) {
    DYNAMIC_SECTION(c.words) {
      std::string told = cause_of(c.words);
      CHECK(told.starts_with(c.want));
      CHECK(told.find(c.words) != std::string::npos);
    }
  }
  CHECK(cause_of("one\n\ntwo\n") == "one; two");
  CHECK(cause_of("") == "");
}
