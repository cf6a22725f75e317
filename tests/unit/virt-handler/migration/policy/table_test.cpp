// The policy in closed loop with simulated guests, over a table of write rates x link rates, beside plain pre-copy and
// QEMU's own auto-converge, which have the whole downtime limit from the beginning.
#include <algorithm>

#include <catch2/catch.hpp>

#include "tests/unit/virt-handler/migration/policy/simulator.hpp"

using namespace nodevirt;
using namespace nodevirt::virt_handler::migration;
using namespace nodevirt::virt_handler::migration::simulation;

namespace {

constexpr double kMost = 120;
// The policy looks five times a second and its word takes a while; QEMU looks all the time.
constexpr double kReaction = 0.5;

struct Runs {
  bool all_done = true, any_throttled = false;
  int throttled = 0;
  double seconds = 0, slowest_pause = 0;   // the median, the maximum
  std::string story;
};

template <class Run>
Runs three(Scene scene, Run run) {
  Runs out;
  std::vector<double> seconds;
  for (unsigned seed : {1u, 2u, 3u}) {
    scene.seed = seed;
    scene.jitter = 0.1;
    Outcome o = run(scene);
    out.all_done = out.all_done && o.done && o.seconds <= kMost;
    out.any_throttled = out.any_throttled || o.throttle > 0;
    out.throttled += o.throttle > 0;
    out.slowest_pause = std::max(out.slowest_pause, o.downtime);
    seconds.push_back(o.seconds);
    for (auto& line : o.story) out.story += line + "\n";
    out.story += o.last_words + "\n";
  }
  std::sort(seconds.begin(), seconds.end());
  out.seconds = seconds[1];
  return out;
}

Runs fixed(const Scene& scene, bool auto_converge, std::uint64_t downtime_ms = 900) {
  return three(scene, [&](const Scene& s) { return Simulator(s).run(Fixed{auto_converge, downtime_ms}, 200); });
}

Runs ours(const Scene& scene, bool auto_converge, std::uint64_t downtime_ms = 900) {
  return three(scene, [&](const Scene& s) {
    Settings settings = settings_for(s);
    settings.config.allow_auto_converge = auto_converge;
    settings.config.max_downtime_ms = downtime_ms;
    Policy policy(settings);
    return Simulator(s).run(policy, 200);
  });
}

}  // namespace

TEST_CASE("where another way ends in two minutes the policy does in at most 1.1 times the best") {
  for (bool random : {false, true})
    for (double set : {64., 256., 700.})
      for (double link : {30., 60., 125., 250., 500.})
        for (double write : {0., 10., 20., 40., 90., 200., 400., 1000.}) {
          Scene scene{.memory_mib = 1024, .working_set_mib = set, .write_mib = write, .link_mib = link,
                      .random_writes = random};
          DYNAMIC_SECTION("working set " << set << ", writes " << write << (random ? " anywhere" : " in order")
                                         << ", link " << link) {
            Runs plain = fixed(scene, false), converge = fixed(scene, true);
            // On the edge chance decides, for everybody: it counts what also ends with a tenth more or less.
            Scene more = scene, less = scene;
            more.write_mib *= 1.15;
            less.link_mib *= 0.9;
            bool surely = plain.all_done && fixed(more, false).all_done && fixed(less, false).all_done;
            if (!plain.all_done && !converge.all_done) continue;
            Runs mine = ours(scene, true);
            INFO(mine.story);
            INFO("plain " << plain.seconds << " s, auto-converge " << converge.seconds << " s, ours " << mine.seconds);
            CHECK(mine.all_done);
            // Who may not slow the guest down is compared with who does not.
            double best = plain.all_done ? plain.seconds : converge.seconds;
            CHECK(mine.seconds <= 1.1 * best + kReaction);
            // Noise may mislead it once in a while.
            if (surely) CHECK(mine.throttled <= 1);
          }
        }
}

TEST_CASE("a small guest that may pause for 300 ms is not slowed down where plain pre-copy ends") {
  for (double link : {6., 20., 60., 120.})
    for (double share : {0.2, 0.45, 0.55, 0.65}) {
      Scene scene{.memory_mib = 190, .working_set_mib = 96, .write_mib = share * link, .link_mib = link};
      DYNAMIC_SECTION("writes " << scene.write_mib << ", link " << link) {
        Runs plain = fixed(scene, false, 300), mine = ours(scene, true, 300);
        INFO(mine.story);
        INFO("plain " << plain.seconds << " s, ours " << mine.seconds);
        if (!plain.all_done) continue;
        CHECK(mine.all_done);
        CHECK(mine.seconds <= 1.1 * plain.seconds + kReaction);
        CHECK(mine.throttled <= 1);
      }
    }
}

TEST_CASE("without auto-converge it is as quick as plain pre-copy, and the pause is within the limit") {
  for (double set : {64., 256.})
    for (double link : {60., 250.})
      for (double write : {0., 20., 50., 1000.}) {
        Scene scene{.working_set_mib = set, .write_mib = write, .link_mib = link};
        DYNAMIC_SECTION("working set " << set << ", writes " << write << ", link " << link) {
          Runs plain = fixed(scene, false), mine = ours(scene, false);
          INFO(mine.story);
          if (plain.all_done) {
            CHECK(mine.all_done);
            CHECK(mine.seconds <= 1.1 * plain.seconds + kReaction);
            CHECK(mine.slowest_pause <= 0.9 * 1.25);
            CHECK(mine.slowest_pause <= plain.slowest_pause * 1.1 + 0.02);
          }
          CHECK_FALSE(mine.any_throttled);
        }
      }
}

TEST_CASE("a quiet guest hardly stands still") {
  Scene scene{.working_set_mib = 64, .write_mib = 3, .link_mib = 100};
  Runs mine = ours(scene, true);
  INFO(mine.story);
  CHECK(mine.all_done);
  CHECK(mine.slowest_pause <= 0.15);
}

TEST_CASE("the owner's ceiling is kept, and no guest is slowed down for nothing") {
  Scene hopeless{.working_set_mib = 700, .write_mib = 400, .link_mib = 30};
  for (std::uint32_t ceiling : {1u, 20u, 50u}) {
    Settings settings = settings_for(hopeless);
    settings.config.allow_auto_converge = true;
    settings.config.max_throttle_percent = ceiling;
    Policy policy(settings);
    Outcome o = Simulator(hopeless).run(policy, 120);
    INFO(o.last_words);
    CHECK(o.throttle <= ceiling);
    CHECK_FALSE(o.done);
  }
  Scene harder{.working_set_mib = 256, .write_mib = 100, .link_mib = 60};
  Settings settings = settings_for(harder);
  settings.config.allow_auto_converge = true;
  settings.config.max_throttle_percent = 70;
  Policy policy(settings);
  Outcome o = Simulator(harder).run(policy, 120);
  CHECK(o.done);
  CHECK(o.throttle <= 70);
}

TEST_CASE("samples that get lost and links that waver cost time, not sense") {
  for (double lose : {0.3, 0.7})
    for (double jitter : {0.3, 0.6}) {
      Scene scene{.working_set_mib = 128, .write_mib = 60, .link_mib = 100, .random_writes = true, .jitter = jitter,
                  .lose = lose};
      DYNAMIC_SECTION("lost " << lose << ", jitter " << jitter) {
        Settings settings = settings_for(scene);
        settings.config.allow_auto_converge = true;
        Policy policy(settings);
        Outcome o = Simulator(scene).run(policy, 120);
        INFO(o.last_words);
        CHECK(o.done);
        CHECK(o.seconds < 30);
        CHECK(o.story.size() < 40);
      }
    }
}

TEST_CASE("a cap that makes QEMU wait for ever is seen through") {
  // 80 MiB rewritten all the time, sent at 60 MiB/s: the last step takes 1.3 s with the cap, and 0.2 s without it.
  Scene scene{.memory_mib = 256, .working_set_mib = 80, .write_mib = 900, .link_mib = 400, .cap_mib = 60};
  CHECK_FALSE(Simulator(scene).run(Fixed{false, 900}, 120).done);
  for (double known : {0., 380.}) {
    Settings settings = settings_for(scene);
    settings.link_bytes_per_second = static_cast<std::uint64_t>(known * (1 << 20));
    Policy policy(settings);
    Outcome o = Simulator(scene).run(policy, 120);
    for (auto& line : o.story) UNSCOPED_INFO(line);
    CHECK(o.done);
    CHECK(o.seconds < 15);
    CHECK(o.downtime <= 0.9);
  }
}

TEST_CASE("a guest that calms down is taken at once") {
  Scene scene{.working_set_mib = 300, .write_mib = 500, .link_mib = 60, .calm_after = 40};
  Settings settings = settings_for(scene);
  Policy policy(settings);
  Outcome o = Simulator(scene).run(policy, 120);
  INFO(o.last_words);
  CHECK(o.done);
  CHECK(o.seconds < 50);
}
