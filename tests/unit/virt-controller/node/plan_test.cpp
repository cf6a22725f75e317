// A node that does not beat gets no new guests; one that was never heard of is not judged.
#include <catch2/catch.hpp>

#include "virt-controller/node/plan.hpp"

using namespace nodevirt;
using namespace nodevirt::virt_controller::node;

TEST_CASE("heartbeats") {
  struct Case { const char *name, *heartbeat; bool schedulable; std::chrono::seconds unchanged; bool mark, stale; };
  auto c = GENERATE(values<Case>({
      {"fresh", "2026-01-01T00:08:00Z", true, 0s, false, false},
      {"old", "2026-01-01T00:04:59Z", true, 60s, true, true},
      {"old and marked", "2026-01-01T00:04:59Z", false, 60s, false, true},
      {"old, but we have only just come", "2026-01-01T00:04:59Z", true, 5s, false, false},
      {"none", "", true, 600s, false, false},
      {"nonsense", "yesterday", true, 600s, false, false},
      {"of the future", "2027-01-01T00:00:00Z", true, 600s, false, false},
  }));
  DYNAMIC_SECTION(c.name) {
    Plan p = plan({c.heartbeat, c.schedulable, c.unchanged, *parse_time("2026-01-01T00:10:00Z")});
    CHECK(p.mark_unschedulable == c.mark);
    CHECK(p.stale == c.stale);
    CHECK(p.again.has_value() == (*c.heartbeat != 0));
  }
}
