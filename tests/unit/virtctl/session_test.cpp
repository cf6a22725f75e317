#include "virtctl/console/wait.hpp"
#include "virtctl/session.hpp"

#include <catch2/catch.hpp>

using namespace nodevirt;
using namespace nodevirt::virtctl;

TEST_CASE("targets are named as people name them") {
  struct Case { const char* name; std::vector<std::string> words; bool ok; Kind kind; const char* target; };
  for (auto& c : std::vector<Case>{
           {"bare name", {"vm-cirros"}, true, Kind::VirtualMachine, "vm-cirros"},
           {"the leading word of older documents", {"omv", "vm-cirros"}, true, Kind::VirtualMachine, "vm-cirros"},
           {"type word", {"vmi", "a"}, true, Kind::VirtualMachineInstance, "a"},
           {"slash", {"virtualmachineinstance/a"}, true, Kind::VirtualMachineInstance, "a"},
           {"full resource", {"virtualmachines.kubevirt.io/a"}, true, Kind::VirtualMachine, "a"},
           {"unknown type", {"pod", "a"}, false, {}, ""},
           {"no name", {"vm/"}, false, {}, ""},
           {"too many", {"vm", "vm/a"}, false, {}, ""},
       }) {
    DYNAMIC_SECTION(c.name) {
      auto target = parse_target(c.words, Kind::VirtualMachine);
      REQUIRE(target.ok() == c.ok);
      if (c.ok) {
        CHECK(target->kind == c.kind);
        CHECK(target->name == c.target);
      }
    }
  }
}

TEST_CASE("a console waits for what is starting and refuses what is stopped") {
  auto j = [](const char* text) { return std::optional<Json>(Json::parse(text)); };
  using State = Readiness::State;
  auto state = [&](std::optional<Json> vm, std::optional<Json> vmi) { return console_readiness("a", vm, vmi).state; };
  auto on = j(R"({"spec":{"running":true}})"), off = j(R"({"spec":{"running":false}})");
  CHECK(state({}, {}) == State::Refused);
  CHECK(state(off, {}) == State::Refused);
  CHECK(state(on, {}) == State::Waiting);
  CHECK(state(on, j(R"({"status":{"phase":"Scheduling"}})")) == State::Waiting);
  CHECK(state({}, j(R"({"status":{"phase":"Running"}})")) == State::Running);
  CHECK(state({}, j(R"({"status":{"phase":"Succeeded"}})")) == State::Refused);
  CHECK(state(on, j(R"({"status":{"phase":"Failed"}})")) == State::Waiting);
  CHECK(state(on, j(R"({"metadata":{"deletionTimestamp":"x"},"status":{"phase":"Running"}})")) == State::Waiting);
  CHECK(state(j(R"({"spec":{"runStrategy":"Manual"},"status":{"stateChangeRequests":[{"action":"Start"}]}})"), {}) == State::Waiting);
  CHECK(console_readiness("a", off, {}).text.find("virtctl start a") != std::string::npos);
  auto held = j(R"({"status":{"phase":"Scheduling","conditions":[{"type":"PodScheduled","status":"False","message":"0/1 nodes"}]}})");
  CHECK(console_readiness("a", on, held).text.find("0/1 nodes") != std::string::npos);
}
