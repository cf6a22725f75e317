// The policy scripted sample by sample: what it does at which moment, and what it says about it.
#include "virt-handler/migration/policy/policy.hpp"

#include <catch2/catch.hpp>

using namespace nodevirt;
using namespace nodevirt::virt_handler::migration;

namespace {

constexpr std::uint64_t kMib = 1 << 20;

/// A job whose samples are told in seconds and MiB.
class Script {
 public:
  explicit Script(Settings settings) : policy(std::move(settings)) {}

  Sample sample(double seconds, std::uint32_t iteration, double remaining, double processed, std::uint32_t throttle = 0) {
    Sample s;
    s.elapsed_ms = static_cast<std::uint64_t>(seconds * 1000);
    s.taken_at_ms = 1'700'000'000'000 + s.elapsed_ms;
    s.iteration = iteration;
    s.memory_total = 1024 * kMib;
    s.memory_remaining = static_cast<std::uint64_t>(remaining * kMib);
    s.memory_processed = static_cast<std::uint64_t>(processed * kMib);
    s.normal_pages = s.memory_processed / 4096;
    s.page_size = 4096;
    s.throttle_percent = throttle;
    return s;
  }
  Decision at(double seconds, std::uint32_t iteration, double remaining, double processed, std::uint32_t throttle = 0) {
    return step(sample(seconds, iteration, remaining, processed, throttle));
  }
  Decision step(const Sample& s) {
    Decision d = policy.step(s, Clock::Time{} + std::chrono::milliseconds(s.elapsed_ms));
    for (auto& a : d.actions) all.push_back(a);
    return d;
  }
  Decision tick(double seconds) {
    Decision d = policy.tick(Clock::Time{} + std::chrono::milliseconds(static_cast<std::int64_t>(seconds * 1000)));
    for (auto& a : d.actions) all.push_back(a);
    return d;
  }
  /// A guest that rewrites `set` MiB at `rate` MiB/s of the link in passes without end, from `from` to `to` seconds.
  Decision rewriting(double set, double rate, double from, double to, std::uint32_t throttle = 0) {
    Decision d;
    double pass = set / rate;
    if (processed_ == 0) {
      for (double t = 0.1; t < from; t += 0.1) d = at(t, 1, 1024 - rate * t, rate * t, throttle);
      processed_ = rate * from;
      iteration_ = 2;
    }
    for (double t = from; t < to; ++iteration_) {
      for (double in = 0; in < pass && t < to; in += 0.1, t += 0.1) {
        d = at(t, iteration_, set - rate * in, processed_ + rate * in, throttle);
        if (has(d, ActionKind::Abort)) return d;
      }
      processed_ += set;
    }
    return d;
  }
  static bool has(const Decision& d, ActionKind kind) { return find(d, kind) != nullptr; }
  static const Action* find(const Decision& d, ActionKind kind) {
    for (auto& a : d.actions)
      if (a.kind == kind) return &a;
    return nullptr;
  }
  const Action* ever(ActionKind kind) const {
    for (auto& a : all)
      if (a.kind == kind) return &a;
    return nullptr;
  }

  Policy policy;
  std::vector<Action> all;

 private:
  double processed_ = 0;
  std::uint32_t iteration_ = 2;
};

Settings settings() {
  Settings s;
  s.memory_bytes = 1024 * kMib;
  return s;
}

bool says(const Decision& d, std::string_view what) { return d.explanation.find(what) != std::string::npos; }

}  // namespace

TEST_CASE("the job begins with little downtime, no throttle and the owner's cap") {
  Settings s = settings();
  s.config.bandwidth_bytes_per_second = 60 * kMib;
  StartPlan plan = Policy(s).start();
  CHECK(plan.downtime_limit_ms == 50);
  CHECK(plan.bandwidth_mib_per_second == 60);
  CHECK_FALSE(plan.auto_converge);
  CHECK_FALSE(plan.allow_post_copy);

  s.config.allow_auto_converge = s.config.allow_post_copy = true;
  s.config.max_throttle_percent = 40;
  s.config.max_downtime_ms = 30;
  plan = Policy(s).start();
  CHECK(plan.auto_converge);
  CHECK_FALSE(plan.allow_post_copy);          // nobody said that the target may use userfaultfd
  CHECK(plan.downtime_limit_ms == 30);
  CHECK(plan.throttle.maximum_percent == 40);
  CHECK(plan.throttle.initial_percent == 1);

  s.post_copy_possible = true;
  s.config.max_throttle_percent = 0;
  plan = Policy(s).start();
  CHECK_FALSE(plan.auto_converge);
  CHECK(plan.allow_post_copy);
}

TEST_CASE("in the first pass nothing is known of the guest, and nothing is done") {
  Script job(settings());
  auto d = job.at(0, 0, 0, 0);
  CHECK(says(d, "connecting"));
  d = job.at(0.2, 1, 1004, 20);
  d = job.at(1.2, 1, 904, 120);
  CHECK(d.actions.empty());
  CHECK(says(d, "first pass over the memory: 904 MiB of 1.0 GiB left; sends 100 MiB/s"));
  CHECK(d.prediction.converges);
  CHECK(*d.prediction.end_s == Approx(9.04).epsilon(0.05));
  CHECK(d.measures.bandwidth == Approx(100.0 * kMib).epsilon(0.02));
}

TEST_CASE("what a guest writes may be known only when its job has begun") {
  Settings s = settings();
  s.config.max_downtime_ms = 300;
  Script late(s);
  for (double t = 0.2; t < 1.9; t += 0.2) CHECK(late.at(t, 1, 1024 - 57 * t, 57 * t).actions.empty());
  late.policy.wrote_before(static_cast<std::uint64_t>(40 * kMib));
  auto d = late.at(2.2, 1, 1024 - 57 * 2.2, 57 * 2.2);
  auto* limit = Script::find(d, ActionKind::SetDowntimeLimit);      // it will need another pass
  REQUIRE(limit);
  CHECK(limit->value == 300);
  CHECK(d.measures.dirty_rate == Approx(40.0 * kMib).epsilon(0.1));

  Script known(s);      // what the job finds counts more
  known.rewriting(100, 57, 18, 24);
  auto found = known.at(24.1, 20, 50, 1400).measures.dirty_rate;
  known.policy.wrote_before(1);
  CHECK(known.at(24.2, 20, 44, 1406).measures.dirty_rate == found);
}

TEST_CASE("a shorter pause is waited for where it costs little, and not where it costs another pass") {
  struct Case { double writes; bool waits; };
  for (auto c : {Case{10, true}, Case{20, true}, Case{30, false}, Case{40, false}}) {
    CAPTURE(c.writes);
    Settings s = settings();
    s.config.max_downtime_ms = 300;
    Script script(s);
    double set = 300, sent = 0, t = 0;
    // The first pass, then each as long as the one before was written in.
    for (; t < 10; t += 0.2) script.at(t, 1, 1024 - 60 * t, 60 * t);
    sent = 60 * t;
    double pass = t;
    Decision last;
    for (std::uint32_t iteration = 2; iteration < 5; ++iteration) {
      double found = std::min(set, c.writes * pass), begin = t;
      pass = found / 60;
      for (; t < begin + pass; t += 0.2) last = script.at(t, iteration, found - 60 * (t - begin), sent + 60 * (t - begin));
      sent += found;
    }
    if (c.waits) CHECK(last.measures.downtime_limit_ms < 280);
    else CHECK(last.measures.downtime_limit_ms == 300);
  }
}

TEST_CASE("disks are copied first, and that is progress") {
  Settings s = settings();
  s.copied_disk_bytes = 100'000 * kMib;
  Script job(s);
  Decision d;
  for (int t = 0; t < 400; ++t) {
    Sample sample = job.sample(t, 0, 0, 0);
    sample.disk_total = 100'000 * kMib;
    sample.memory_total = 0;
    sample.disk_processed = 100 * static_cast<std::uint64_t>(t) * kMib;
    sample.disk_remaining = sample.disk_total - sample.disk_processed;
    d = job.step(sample);
  }
  CHECK(job.all.empty());
  CHECK(says(d, "copying disks: 59 GiB of 98 GiB left at 100 MiB/s, 10 min more; then the memory, 1.0 GiB"));
  CHECK(d.measures.bandwidth == Approx(100.0 * kMib).epsilon(0.01));
  REQUIRE(d.prediction.end_s);
  CHECK(*d.prediction.end_s == Approx((60'100 + 1024) / 100.0).epsilon(0.01));
  CHECK(d.prediction.downtime_ms == 50);
  // The memory's turn: what the disks came at says nothing of it.
  d = job.at(1001.5, 1, 1000, 24);
  CHECK_FALSE(says(d, "disks"));
}

TEST_CASE("disks that begin one after the other, and late, are progress; one that stands still is not") {
  Settings s = settings();
  s.copied_disk_bytes = 100'000 * kMib;
  Script job(s);
  double at = 0;
  // The first sample comes before the first disk, and each further disk adds to what is left.
  auto copy = [&](std::uint64_t disks, std::uint64_t copied) {
    Sample sample = job.sample(at += 1, 0, 0, 0);
    sample.memory_total = 0;
    sample.disk_total = disks * 10'000 * kMib;
    sample.disk_processed = copied * kMib;
    sample.disk_remaining = sample.disk_total - sample.disk_processed;
    return job.step(sample);
  };
  copy(0, 0);
  for (std::uint64_t i = 0; i < 200; ++i) copy(1, i);
  for (std::uint64_t i = 200; i < 400; ++i) copy(3, i);
  CHECK_FALSE(job.ever(ActionKind::Abort));
  Decision d;
  for (int i = 0; i < 160 && !Script::has(d, ActionKind::Abort); ++i) d = copy(3, 400);
  REQUIRE(job.ever(ActionKind::Abort));
  CHECK(job.ever(ActionKind::Abort)->reason.find("copying disks: 29 GiB of 29 GiB left") != std::string::npos);
}

TEST_CASE("a guest that can never be caught up with is explained in numbers") {
  Settings s = settings();
  s.config.max_downtime_ms = 300;
  s.config.completion_timeout_per_gib_s = 0;
  s.dirty_rate_before = 99 * kMib;
  Script job(s);
  auto d = job.rewriting(102, 60, 17, 40);
  CHECK_FALSE(d.prediction.converges);
  CHECK_FALSE(d.prediction.end_s);
  CHECK(d.prediction.downtime_ms == Approx(1700).epsilon(0.1));
  INFO(d.explanation);
  CHECK(says(d, "MiB working set; at 60 MiB/s the last step needs 1."));
  CHECK(says(d, " s, 0.3 s allowed"));
  CHECK(says(d, "writes "));
  CHECK(d.prediction.obstacle == d.explanation.substr(0, d.prediction.obstacle.size()));
  CHECK(d.measures.working_set == Approx(102.0 * kMib).epsilon(0.25));
  CHECK_FALSE(job.ever(ActionKind::SetThrottle));
  CHECK_FALSE(job.ever(ActionKind::Abort));
}

TEST_CASE("post-copy begins as soon as prediction says never, and is left alone then") {
  Settings s = settings();
  s.config.allow_post_copy = s.config.allow_workload_disruption = true;
  s.post_copy_possible = true;
  Script job(s);
  auto d = job.rewriting(300, 60, 17, 40);
  auto* begun = job.ever(ActionKind::StartPostCopy);
  REQUIRE(begun);
  CHECK(begun->reason.find("the last step needs") != std::string::npos);
  CHECK(d.mode == Mode::PostCopy);
  CHECK(says(d, "goes on at the target"));
  // Whatever happens from here on, giving up would lose the guest.
  auto count = job.all.size();
  Sample late = job.sample(5000, 9, 200, 9000);
  late.post_copy_requests = 5;
  d = job.step(late);
  d = job.tick(90000);
  CHECK(job.all.size() == count);
  // Not even when the figures look like those of another job.
  Sample anew = job.sample(1, 1, 900, 100);
  anew.taken_at_ms = late.taken_at_ms + 1000;
  d = job.step(anew);
  d = job.tick(900000);
  CHECK(job.all.size() == count);
  CHECK(d.mode == Mode::PostCopy);
}

TEST_CASE("post-copy that is allowed but not possible is not tried") {
  Settings s = settings();
  s.config.allow_post_copy = true;
  s.config.completion_timeout_per_gib_s = 20;
  Script job(s);
  auto d = job.rewriting(300, 60, 17, 60);
  CHECK_FALSE(job.ever(ActionKind::StartPostCopy));
  REQUIRE(job.ever(ActionKind::Abort));
}

TEST_CASE("post-copy that fails is tried again later, three times") {
  Settings s = settings();
  s.config.allow_post_copy = true;
  s.post_copy_possible = true;
  s.config.progress_timeout_s = s.config.completion_timeout_per_gib_s = 0;
  Script job(s);
  int begun = 0;
  std::uint32_t iteration = 2;
  for (double t = 0.2; t < 17; t += 0.2) job.at(t, 1, 1024 - 60 * t, 60 * t);
  for (double t = 17; t < 200; t += 5, ++iteration) {
    auto d = job.at(t, iteration, 300, 60 * t);
    if (auto* a = Script::find(d, ActionKind::StartPostCopy)) {
      ++begun;
      job.policy.failed(*a, Clock::Time{});
    }
  }
  CHECK(begun == 3);
}

TEST_CASE("a call for post-copy that failed is no reason to give up at once") {
  Settings s = settings();
  s.config.allow_post_copy = true;
  s.post_copy_possible = true;
  s.config.completion_timeout_per_gib_s = 10;     // 20 s
  Script job(s);
  for (double t = 0.2; t < 20; t += 0.2) job.at(t, 1, 1024 - 40 * t, 40 * t);
  auto d = job.at(20.2, 1, 216, 808);
  auto* begun = Script::find(d, ActionKind::StartPostCopy);
  REQUIRE(begun);
  job.policy.failed(*begun, Clock::Time{});
  CHECK(job.at(20.4, 1, 208, 816).actions.empty());
  CHECK(job.tick(22).actions.empty());
  d = job.at(25.4, 1, 8, 1016);
  CHECK(Script::has(d, ActionKind::StartPostCopy));
}

TEST_CASE("when the time is up: KubeVirt's order") {
  struct Case { std::string name; bool post_copy, disruption; ActionKind want; };
  for (auto& c : {Case{"nothing is allowed", false, false, ActionKind::Abort},
                  Case{"disruption is allowed", false, true, ActionKind::PauseGuest},
                  Case{"post-copy is allowed", true, true, ActionKind::StartPostCopy}}) {
    DYNAMIC_SECTION(c.name) {
      Settings s = settings();
      s.memory_bytes = 1000 * kMib;                   // two GB for the timeout
      s.config.completion_timeout_per_gib_s = 15;
      s.config.allow_post_copy = c.post_copy;
      s.config.allow_workload_disruption = c.disruption;
      s.post_copy_possible = true;
      Script job(s);
      // The first pass alone takes longer: nothing is known of the guest.
      Decision d;
      for (double t = 0.2; t < 29.9; t += 0.2) {
        d = job.at(t, 1, 1024 - 20 * t, 20 * t);
        REQUIRE(d.actions.empty());
      }
      for (double t = 30.2; t < 70 && !job.ever(c.want); t += 0.2) d = job.at(t, t < 51 ? 1 : 2, t < 51 ? 1024 - 20 * t : 500, 20 * t);
      auto* done = job.ever(c.want);
      REQUIRE(done);
      CHECK(done->reason.find("not done within 30 s") != std::string::npos);
      CHECK(job.all.back().kind == c.want);
    }
  }
}

TEST_CASE("a job about to end is not given up for a few seconds") {
  Settings s = settings();
  s.config.completion_timeout_per_gib_s = 6;      // 12 s
  s.dirty_rate_before = 20 * kMib;
  Script job(s);
  for (double t = 0.2; t < 10.2; t += 0.2) job.at(t, 1, 1024 - 100 * t, 100 * t);
  job.at(10.3, 2, 200, 1030);
  job.at(11.3, 2, 100, 1130);
  job.at(12.3, 3, 40, 1230);
  CHECK_FALSE(job.ever(ActionKind::Abort));
  job.at(13.4, 4, 40, 1270);
  CHECK(job.ever(ActionKind::Abort));
}

TEST_CASE("a paused guest gets twice the time, then the migration is given up") {
  Settings s = settings();
  s.config.allow_workload_disruption = true;
  s.config.completion_timeout_per_gib_s = 10;     // 20 s
  Script job(s);
  auto d = job.rewriting(300, 60, 17, 21);
  REQUIRE(job.ever(ActionKind::PauseGuest));
  CHECK(d.mode == Mode::Paused);
  CHECK(says(d, "paused for"));
  d = job.at(22, 5, 200, 1500);
  CHECK(d.prediction.end_s);
  CHECK(d.actions.empty());
  d = job.at(39, 5, 190, 1510);
  CHECK(d.actions.empty());
  d = job.at(41, 5, 190, 1510);
  CHECK(Script::has(d, ActionKind::Abort));
  CHECK(says(d, "the guest stays where it is"));
  // Once is enough.
  d = job.at(42, 5, 190, 1510);
  CHECK(d.actions.empty());
}

TEST_CASE("an oscillating migration is seen as stalled, whatever the last two samples say") {
  Settings s = settings();
  s.memory_bytes = 8000 * kMib;
  s.config.progress_timeout_s = 60;
  Script job(s);
  Decision d;
  std::uint32_t iteration = 2;
  double processed = 1024;
  for (double t = 0.2; t < 17; t += 0.2) job.at(t, 1, 1024 - 60 * t, 60 * t);
  double gave_up = 0;
  for (double t = 17; t < 200 && !gave_up; t += 5, ++iteration) {
    double remaining = iteration % 2 ? 290 : 310;
    d = job.at(t, iteration, remaining, processed);
    if (t > 17 + 45 + 15) CHECK((d.measures.stalled || Script::has(d, ActionKind::Abort)));
    if (Script::has(d, ActionKind::Abort)) gave_up = t;
    d = job.at(t + 2.5, iteration, remaining - 150, processed + 150);   // less than before: no progress
    if (Script::has(d, ActionKind::Abort)) gave_up = t;
    processed += 300;
  }
  CHECK(gave_up > 17 + 60);
  CHECK(gave_up < 17 + 60 + 20);
  CHECK(d.explanation.find("nothing gained for") != std::string::npos);
}

TEST_CASE("KubeVirt's stall detector, where somebody asked for it") {
  Settings s = settings();
  s.memory_bytes = 8000 * kMib;
  s.config.stall_detector.emplace();
  SECTION("far from the limit it is given up after its window, long before the timeouts") {
    Script job(s);
    auto d = job.rewriting(300, 60, 17, 140);
    REQUIRE(job.ever(ActionKind::Abort));
    CHECK(job.ever(ActionKind::Abort)->reason.find("stalled") != std::string::npos);
    CHECK(d.measures.stalled);
  }
  SECTION("near the limit it waits a while longer with the whole limit") {
    Script job(s);
    auto d = job.rewriting(70, 60, 17, 17 + 40 + 50);     // 1.17 s, 0.9 s allowed
    CHECK_FALSE(job.ever(ActionKind::Abort));
    CHECK(d.measures.downtime_limit_ms >= 895);
    job.rewriting(70, 60, 17 + 40 + 50, 17 + 40 + 80);
    CHECK(job.ever(ActionKind::Abort));
  }
  SECTION("with disruption allowed the guest is paused") {
    s.config.allow_workload_disruption = true;
    Script job(s);
    job.rewriting(300, 60, 17, 140);
    CHECK(job.ever(ActionKind::PauseGuest));
    CHECK_FALSE(job.ever(ActionKind::Abort));
  }
}

TEST_CASE("KubeVirt's downtime tuning is an even ramp") {
  Settings s = settings();
  s.config.downtime_tuning.emplace();
  Script job(s);
  CHECK(job.policy.start().downtime_limit_ms == 150);
  job.rewriting(300, 60, 17, 130);
  std::vector<std::uint64_t> limits;
  for (auto& a : job.all)
    if (a.kind == ActionKind::SetDowntimeLimit) limits.push_back(a.value);
  CHECK(limits == std::vector<std::uint64_t>{257, 364, 471, 578, 685, 792, 900});
}

TEST_CASE("a link that goes dead is noticed without samples, too") {
  Settings s = settings();
  s.config.progress_timeout_s = 30;
  Script job(s);
  for (double t = 0.2; t < 5; t += 0.2) job.at(t, 1, 1024 - 60 * t, 60 * t);
  auto d = job.tick(20);
  CHECK(says(d, "the job has said nothing for 15 s"));
  CHECK(d.actions.empty());
  d = job.tick(40);
  CHECK(Script::has(d, ActionKind::Abort));
  d = job.tick(41);
  CHECK(d.actions.empty());
}

TEST_CASE("a handler that stood still has missed something, and that is no silence of the job") {
  Settings s = settings();
  s.config.progress_timeout_s = 30;
  for (bool sampled : {false, true}) {
    Script job(s);
    for (double t = 0.2; sampled && t < 5; t += 0.2) job.at(t, 1, 1024 - 60 * t, 60 * t);
    CHECK(job.tick(5).actions.empty());
    job.policy.stood_still(std::chrono::seconds(100), Clock::Time{} + std::chrono::seconds(105));
    CHECK(job.tick(105).actions.empty());
    CHECK(job.tick(125).actions.empty());
    CHECK(Script::has(job.tick(140), ActionKind::Abort));
  }
}

TEST_CASE("a first sample that never comes") {
  Settings s = settings();
  s.config.progress_timeout_s = 30;
  Script job(s);
  CHECK(job.tick(0).actions.empty());
  CHECK(job.tick(29).actions.empty());
  CHECK(Script::has(job.tick(31), ActionKind::Abort));
}

TEST_CASE("samples out of order, twice and of a job that began anew") {
  Script job(settings());
  for (double t = 0.2; t < 10; t += 0.2) job.at(t, 1, 1024 - 60 * t, 60 * t);
  auto before = job.at(10, 1, 424, 600);
  SECTION("an older one changes nothing") {
    auto d = job.at(9.5, 1, 454, 570);
    CHECK(d.explanation == before.explanation);
    CHECK(d.measures.bandwidth == before.measures.bandwidth);
    d = job.at(10.2, 1, 412, 612);
    CHECK(d.measures.bandwidth == Approx(60.0 * kMib).epsilon(0.05));
  }
  SECTION("the same one again changes nothing") {
    auto d = job.at(10, 1, 424, 600);
    CHECK(d.explanation == before.explanation);
    CHECK(d.actions.empty());
  }
  SECTION("a new job starts from the beginning") {
    Sample s = job.sample(0.3, 1, 1000, 24);
    s.taken_at_ms += 20'000;
    auto d = job.step(s);
    CHECK(d.measures.downtime_limit_ms == 50);
    s = job.sample(0.8, 1, 950, 74);
    s.taken_at_ms += 20'000;
    d = job.step(s);
    CHECK(says(d, "950 MiB of 1.0 GiB left"));
    CHECK(d.measures.bandwidth == Approx(100.0 * kMib).epsilon(0.1));
  }
}

TEST_CASE("wild figures do no harm") {
  Settings s = settings();
  s.config.allow_auto_converge = s.config.allow_post_copy = s.config.allow_workload_disruption = true;
  s.config.bandwidth_bytes_per_second = 1;
  s.config.max_downtime_ms = 0;
  s.memory_bytes = 0;
  s.dirty_rate_before = UINT64_MAX;
  s.link_bytes_per_second = UINT64_MAX;
  Policy policy(s);
  Sample sample;
  for (std::uint32_t i = 0; i < 50; ++i) {
    sample.elapsed_ms = i % 7 == 6 ? UINT64_MAX / 2 : i * 300;
    sample.iteration = i % 5 == 4 ? UINT32_MAX : i / 3;
    sample.memory_remaining = i % 2 ? UINT64_MAX : 0;
    sample.memory_processed = i % 3 ? UINT64_MAX : i;
    sample.throttle_percent = i * 1000;
    sample.normal_pages = sample.page_size = UINT64_MAX;
    Decision d = policy.step(sample, Clock::Time{} + std::chrono::seconds(i % 4));
    for (auto& a : d.actions) {
      if (a.kind == ActionKind::SetDowntimeLimit) CHECK(a.value <= 2'000'000);
      if (a.kind == ActionKind::SetThrottle) CHECK(a.throttle.initial_percent <= 99);
    }
    CHECK(d.explanation.size() < 2000);
    policy.tick(Clock::Time{} + std::chrono::seconds(i));
  }
}

TEST_CASE("throttling follows from the rates, once, and is held when it is enough") {
  Settings s = settings();
  s.config.allow_auto_converge = true;
  s.dirty_rate_before = 120 * kMib;
  Script job(s);
  // 120 MiB/s in order through 600 MiB, 60 MiB/s sent.
  for (double t = 0.2; t < 17; t += 0.2) job.at(t, 1, 1024 - 60 * t, 60 * t);
  auto d = job.at(17.2, 2, 600, 1024);
  auto* first = Script::find(d, ActionKind::SetThrottle);
  REQUIRE(first);
  CHECK(first->throttle.initial_percent >= 60);
  CHECK(first->throttle.initial_percent <= 90);
  CHECK(first->throttle.maximum_percent == 99);
  CHECK(first->throttle.trigger_percent == 1);
  auto planned = first->throttle.initial_percent;
  CHECK(says(d, "slowing the guest down by"));
  CHECK(d.prediction.converges);
  d = job.at(27.3, 3, 600, 1624, planned);
  d = job.at(37.4, 4, 1200 * (1 - planned / 100.0), 2224, planned);
  CHECK(d.prediction.converges);
  auto last = job.all.back();
  for (auto& a : job.all)
    if (a.kind == ActionKind::SetThrottle) last = a;
  CHECK(last.throttle.trigger_percent == 100);
  CHECK(last.throttle.increment_percent == 1);
}

TEST_CASE("after the final sample nothing is steered, and the pause is told") {
  Script job(settings());
  job.at(1, 1, 500, 500);
  Sample s = job.sample(9, 4, 0, 1100);
  s.completed = true;
  s.downtime_ms = 87;
  auto d = job.step(s);
  CHECK(d.prediction.converges);
  CHECK(d.prediction.downtime_ms == 87);
  CHECK(says(d, "0.09 s"));
  CHECK(job.tick(1e6).actions.empty());
}

TEST_CASE("during the switch-over nothing is steered") {
  Settings s = settings();
  s.config.completion_timeout_per_gib_s = 1;
  Script job(s);
  job.at(0.5, 1, 900, 100);
  job.at(1, 1, 500, 500);
  job.policy.switch_over_began();
  auto d = job.at(9, 2, 10, 1100);
  CHECK(d.actions.empty());
  CHECK(says(d, "switching over"));
  CHECK(job.tick(100).actions.empty());
}
