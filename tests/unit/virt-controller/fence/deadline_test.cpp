// When a guest of a silent node is known to be dead: never before its monitor's last deadline.
#include <catch2/catch.hpp>

#include "virt-controller/fence/deadline.hpp"

using namespace nodevirt;
using namespace nodevirt::virt_controller::fence;

TEST_CASE("the time until a guest is known to be dead") {
  struct Case { const char *name, *pod; Clock::Duration since_seen; std::optional<Clock::Duration> want; };
  auto c = GENERATE(values<Case>({
      {"renewed just now", "p30", 0s, 40s + 300ms},
      {"renewed some time ago", "p30", 12s, 28s + 300ms},
      {"its deadline passed, the margin has not", "p30", 30s, 10s + 300ms},
      {"almost", "p30", 40s + 299ms, 1ms},
      {"passed", "p30", 40s + 300ms, 0s},
      {"long passed", "p30", 9000s, 0s},
      {"another pod of the node has another deadline", "p3600", 40s + 300ms, 3600s + 36s + 10s - 40s - 300ms},
      {"no fence", "p0", 9000s, std::nullopt},
  }));
  DYNAMIC_SECTION(c.name) {
    Renewal seen{"7", Clock::Time{} + 5h, {{"p30", 30}, {"p3600", 3600}}};
    CHECK(time_left(seen, c.pod, seen.seen + c.since_seen) == c.want);
  }
}

TEST_CASE("the margin covers clocks that run apart by ten times what is allowed, and ten seconds of slowness") {
  for (std::int64_t seconds : {5, 30, 600, 3600}) {
    Clock::Duration slow_node = std::chrono::milliseconds(seconds * 1000 * 1005 / 1000);   // its N, on our clock
    CHECK(std::chrono::seconds(seconds) + margin(seconds) >= slow_node + 10s);
  }
}
