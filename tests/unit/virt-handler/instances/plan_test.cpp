// What virt-handler does next, for everything that it can find.
#include <catch2/catch.hpp>

#include "observation.hpp"

using namespace nodevirt;
using namespace nodevirt::virt_handler;
using namespace nodevirt::virt_handler::test;

TEST_CASE("the next step follows from phase, domain, launcher and time") {
  struct Case {
    std::string name, phase;
    bool deleting;
    std::optional<std::int64_t> grace;
    launcher::v1::DomainState domain;
    std::function<void(Observation&)> change;
    Step want;
    std::optional<Clock::Duration> again;
  };
  auto none = [](Observation&) {};
  const Case cases[] = {
      {"handed over: start it", "Scheduled", false, 30, domain(""), none, Step::Sync, {}},
      {"defined by a launcher that died then: start it", "Scheduled", false, 30, domain("Shutoff", "Unknown"), none, Step::Sync, {}},
      {"network still being prepared: wait", "Scheduled", false, 30, domain(""), [](Observation& o) { o.network = NetworkState::Pending; }, Step::None, {}},
      {"network failed: again", "Scheduled", false, 30, domain(""), [](Observation& o) { o.network = NetworkState::Failed; }, Step::PrepareNetwork, {}},
      {"not handed over yet: hands off", "Scheduling", false, 30, domain(""), none, Step::None, {}},
      {"stopped before it was started: never start it", "Scheduled", true, 30, domain(""), none, Step::None, {}},
      {"its pod is being deleted: never start it", "Scheduled", false, 30, domain(""), [](Observation& o) { o.pod_deleting = true; }, Step::None, {}},
      {"runs: nothing", "Running", false, 30, domain("Running"), none, Step::None, {}},
      {"started, but its phase is not written yet: nothing more to do", "Scheduled", false, 30, domain("Running"), none, Step::None, {}},
      {"ended: nothing to do before that is written", "Running", false, 30, domain("Shutoff", "Shutdown"), none, Step::None, {}},
      {"ended at once: not started again", "Scheduled", false, 30, domain("Shutoff", "Shutdown"), none, Step::None, {}},
      {"stop: press the button", "Running", true, 30, domain("Running"), none, Step::Shutdown, 20s},
      {"stop: pressed, wait for the rest of the time", "Running", true, 30, domain("Running", "", true), none, Step::None, 20s},
      {"stop: time is up", "Running", true, 5, domain("Running", "", true), none, Step::Kill, {}},
      {"stop with no grace: at once, without the button", "Running", true, 0, domain("Running"), none, Step::Kill, {}},
      {"stop without a period: 30 s", "Running", true, {}, domain("Running", "", true), none, Step::None, 20s},
      {"stop of a paused guest: waits like any other", "Running", true, 30, domain("Paused", "User", true), none, Step::None, 20s},
      {"stopped between hand-over and the phase: taken down too", "Scheduled", true, 30, domain("Running"), none, Step::Shutdown, 20s},
      {"pod evicted: press the button, the pod runner has the clock", "Running", false, 30, domain("Running"), [](Observation& o) { o.pod_deleting = true; }, Step::Shutdown, {}},
      {"final and written: undefine", "Succeeded", false, 30, domain("Shutoff", "Shutdown"), none, Step::Undefine, {}},
      {"final and gone: nothing", "Succeeded", false, 30, domain(""), none, Step::None, {}},
      {"declared failed while it runs: never two", "Failed", false, 30, domain("Running"), none, Step::Kill, {}},
      {"no pod: ask before believing it", "Running", false, 30, domain("Running"), [](Observation& o) { o.pod_found = false; }, Step::ConfirmPodGone, {}},
      {"no pod, and final: nothing", "Failed", false, 30, domain(""), [](Observation& o) { o.pod_found = false; }, Step::None, {}},
      {"launcher away for a moment: wait", "Running", false, 30, domain("Running"), [](Observation& o) { o.connected = false; o.unreachable_for = 10s; }, Step::None, 50s},
      {"launcher away for good: nothing to call", "Running", false, 30, domain("Running"), [](Observation& o) { o.connected = false; o.unreachable_for = 61s; }, Step::None, {}},
      {"libvirt away for a moment: nothing is over", "Running", false, 30, domain(""), [](Observation& o) { o.absent_for = 10s; }, Step::None, 50s},
  };
  for (const Case& c : cases) {
    DYNAMIC_SECTION(c.name) {
      api::Instance vmi = instance(c.phase, c.deleting, c.grace);
      Observation seen = healthy(vmi, &c.domain);
      c.change(seen);
      Plan next = plan(seen);
      CHECK(static_cast<int>(next.step) == static_cast<int>(c.want));
      CHECK(next.again == c.again);
    }
  }
}
