// Events reach the server in order, repeated ones are counted up, and none of it holds anybody up.
#include <catch2/catch.hpp>

#include "pkg/runtime/event_recorder.hpp"
#include "tests/support/scripted_transport.hpp"

using namespace nodevirt;
using namespace nodevirt::runtime;
using namespace nodevirt::testing;

namespace {
struct Fixture {
  boost::asio::io_context io;
  ManualClock clock;
  std::shared_ptr<ScriptedTransport> transport = std::make_shared<ScriptedTransport>();
  std::optional<Error> refuse;
  std::vector<Json> made, patched;
  ObjectReference vm{"kubevirt.io/v1", "VirtualMachine", "default", "vm1", "u1", "5"};
  std::optional<EventRecorder> recorder;
  Fixture() {
    transport->on_send = [this](const net::Request& r) -> Result<net::Response> {
      if (refuse) return *refuse;
      Json body = Json::parse(r.body);
      (r.method == "POST" ? made : patched).push_back(body);
      return json_answer(200, body);
    };
    recorder.emplace(io.get_executor(), client::Client(transport), clock, "virt-controller", "host");
  }
  ~Fixture() {
    recorder.reset();
    settle(io);
  }
};
}  // namespace

TEST_CASE("an event is a core v1 Event about its object") {
  Fixture f;
  f.recorder->event(f.vm, "Normal", "SuccessfulCreate", "made it");
  settle(f.io);
  REQUIRE(f.made.size() == 1);
  const Json& e = f.made[0];
  CHECK(e["kind"] == "Event");
  CHECK(e["metadata"]["namespace"] == "default");
  CHECK_THAT(string_at(e, {"metadata", "name"}), Catch::StartsWith("vm1."));
  CHECK(e["involvedObject"]["uid"] == "u1");
  CHECK(e["involvedObject"]["kind"] == "VirtualMachine");
  CHECK(e["reason"] == "SuccessfulCreate");
  CHECK(e["type"] == "Normal");
  CHECK(e["count"] == 1);
  CHECK(e["source"]["component"] == "virt-controller");
}

TEST_CASE("the same event again is counted, another is not") {
  Fixture f;
  f.recorder->event(f.vm, "Warning", "FailedCreate", "no");
  f.recorder->event(f.vm, "Warning", "FailedCreate", "no");
  f.recorder->event(f.vm, "Warning", "FailedCreate", "no");
  f.recorder->event(f.vm, "Warning", "FailedCreate", "still no");
  settle(f.io);
  CHECK(f.made.size() == 2);
  REQUIRE(f.patched.size() == 2);
  CHECK(f.patched[1]["count"] == 3);
  f.clock.advance(11min);
  f.recorder->event(f.vm, "Warning", "FailedCreate", "no");
  settle(f.io);
  CHECK(f.made.size() == 3);
}

TEST_CASE("what is told once has the same name in every life of the program") {
  std::vector<std::string> names;
  for (int life = 0; life < 2; ++life) {
    Fixture f;
    f.clock.advance(std::chrono::seconds(life));
    f.recorder->event(f.vm, "Warning", "PostCopy", "begins", "migration-1");
    f.recorder->event(f.vm, "Warning", "PostCopy", "begins", "migration-2");
    settle(f.io);
    CHECK(f.patched.empty());
    REQUIRE(f.made.size() == 2);
    for (auto& event : f.made) names.push_back(string_at(event, {"metadata", "name"}));
  }
  CHECK(names[0] != names[1]);
  CHECK(names[0] == names[2]);
  CHECK(names[1] == names[3]);
}

TEST_CASE("an event that is refused is dropped, the next one goes out") {
  Fixture f;
  f.refuse = Error(Code::PermissionDenied, "Forbidden", "no");
  f.recorder->event(f.vm, "Normal", "A", "a");
  settle(f.io);
  f.refuse.reset();
  f.recorder->event(f.vm, "Normal", "B", "b");
  settle(f.io);
  REQUIRE(f.made.size() == 1);
  CHECK(f.made[0]["reason"] == "B");
}

TEST_CASE("a server that is away for a moment gets the event later") {
  Fixture f;
  f.refuse = Error(Code::Unavailable, "away");
  f.recorder->event(f.vm, "Normal", "A", "a");
  settle(f.io);
  f.refuse.reset();
  f.clock.advance(1s);
  settle(f.io);
  CHECK(f.made.size() == 1);
}
