// Post-copy between two nodes' virt-handlers: when it is complete, when the guest waits for its link, and when it is lost.
#include "two_nodes.hpp"

using namespace nodevirt;
using namespace nodevirt::virt_handler;
using namespace nodevirt::virt_handler::migration;
using namespace nodevirt::virt_handler::migration::test;

namespace {

/// Time that flies: minutes in seconds. It does not go on while the test itself gets no processor.
class FastClock final : public Clock {
 public:
  static constexpr int kTimes = 50;
  Time now() const override {
    Time real = system_clock().now();
    now_ += std::min<Duration>(real - std::exchange(seen_, real), std::chrono::milliseconds(25)) * kTimes;
    return now_;
  }
  WallTime wall() const override { return system_clock().wall(); }
  Awaitable<bool> sleep(Duration d, StopToken stop) override { return system_clock().sleep(d / kTimes, stop); }

 private:
  mutable Time seen_ = system_clock().now(), now_ = seen_;
};

/// A guest that runs on node2, with a part of its memory on node1.
struct Halfway {
  FastClock clock;
  World world{clock};

  Halfway() {
    beat("node1", system_clock().wall());
    beat("node2", system_clock().wall());
    pod("pod1", "Running");
    pod("pod2", "Running");
    REQUIRE(world.until([&] { return world.one.launcher->count("migrate") == 1; }));
    world.guest = {.at_source = false, .at_target = true, .loaded = true};
    intact();
    world.one.launcher->tell(Kind::POST_COPY);
    world.two.launcher->tell(Kind::POST_COPY);
    REQUIRE(world.until([&] { return world.state("mode") == "PostCopy"; }));
  }
  void beat(const std::string& node, Clock::WallTime at) {
    world.api->put(k8s::resources::kNodes, {{"metadata", {{"name", node}, {"annotations", {{api::kHeartbeatAnnotation, format_time(at)}}}}}});
  }
  void pod(const std::string& name, const std::string& phase) {
    world.api->put(k8s::resources::kPods, {{"metadata", {{"name", name}, {"namespace", "default"}}}, {"status", {{"phase", phase}}}});
  }
  std::shared_ptr<Launcher> at_source() { return world.one.launchers.of_pod("default", "pod1"); }
  std::shared_ptr<Launcher> at_target() { return world.two.launchers.of_pod("default", "pod2"); }
  static void show(Launcher& launcher, const char* state, const char* reason) {
    launcher.domain.emplace();
    launcher.domain->set_present(true);
    launcher.domain->set_state(state);
    launcher.domain->set_reason(reason);
  }
  void intact() {
    show(*at_source(), "Paused", "Postcopy");
    show(*at_target(), "Running", "Postcopy");
  }
  void broken() {
    show(*at_source(), "Paused", "PostcopyFailed");
    show(*at_target(), "Running", "PostcopyFailed");
  }
  /// As long as a guest may wait for its link, and longer.
  bool for_seconds(int seconds) {
    auto until = clock.now() + std::chrono::seconds(seconds);
    return world.until([&] { return clock.now() >= until; });
  }
  void check_moved() {
    REQUIRE(world.until([&] { return world.is("completed"); }));
    CHECK_FALSE(world.is("failed"));
    CHECK(string_at(world.vmi(), {"status", "phase"}) == "Running");
    CHECK(string_at(world.vmi(), {"status", "nodeName"}) == "node2");
    CHECK(world.until([&] { return world.one.launcher->count("delete") == 1; }));
  }
  void check_lost(const std::string& why) {
    REQUIRE(world.until([&] { return world.is("failed"); }));
    CHECK(world.is("completed"));
    CHECK(world.state("failureReason").find("the guest is lost: it") == 0);
    INFO(world.state("failureReason"));
    CHECK(world.state("failureReason").find(why) != std::string::npos);
    CHECK(string_at(world.vmi(), {"status", "phase"}) == "Failed");
    CHECK(string_at(world.vmi(), {"status", "reason"}) == "GuestLostInMigration");
    auto told = [](const Node& node) { return std::count(node.events.begin(), node.events.end(), "GuestLost"); };
    CHECK(world.until([&] { return told(world.one) + told(world.two) == 1; }));
  }
};

}  // namespace

TEST_CASE("post-copy is complete when all of the memory is there") {
  Halfway halfway;
  SECTION("as the target tells") {
    halfway.world.two.launcher->tell(Kind::RESUMED);
    halfway.check_moved();
  }
  SECTION("as the source tells") {
    halfway.world.one.launcher->tell(Kind::ENDED);
    halfway.check_moved();
    CHECK(halfway.world.one.launcher->count("release") == 1);
  }
  SECTION("and the source is gone at once") {
    halfway.world.two.launcher->tell(Kind::RESUMED);
    halfway.world.one.launcher->tell(Kind::ENDED, "the source's QEMU ended in post-copy");
    halfway.check_moved();
  }
}

TEST_CASE("post-copy waits for its link") {
  Halfway halfway;
  halfway.broken();
  REQUIRE(halfway.for_seconds(90));
  CHECK_FALSE(halfway.world.is("completed"));
  SECTION("which comes back") {
    halfway.intact();
    REQUIRE(halfway.for_seconds(200));
    CHECK_FALSE(halfway.world.is("completed"));
    halfway.world.two.launcher->tell(Kind::RESUMED);
    halfway.check_moved();
  }
  SECTION("which does not come back") { halfway.check_lost("which could not be reached for 120 s"); }
}

TEST_CASE("post-copy: what is missing is gone") {
  Halfway halfway;
  SECTION("its QEMU") {
    halfway.world.one.launcher->tell(Kind::ENDED, "the source's QEMU ended in post-copy");
    REQUIRE(halfway.for_seconds(60));
    CHECK_FALSE(halfway.world.is("failed"));   // all may be there
    halfway.broken();
    halfway.check_lost("on node node1, which lost it");
  }
  SECTION("its pod") {
    halfway.broken();
    halfway.world.api->erase(k8s::resources::kPods, "default", "pod1");
    halfway.check_lost("node1, whose pod is gone");
  }
  SECTION("its pod has ended") {
    halfway.broken();
    halfway.pod("pod1", "Failed");
    halfway.check_lost("node1, whose pod has ended");
  }
  SECTION("its node") {
    halfway.world.one.end();
    halfway.broken();
    halfway.beat("node1", system_clock().wall() - std::chrono::minutes(6));
    halfway.check_lost("node1, which does not answer");
  }
}

TEST_CASE("post-copy: the guest ends at the target") {
  Halfway halfway;
  SECTION("by itself: its end is seen there") {
    Halfway::show(*halfway.at_target(), "Shutoff", "Shutdown");
    halfway.check_moved();
  }
  SECTION("its QEMU is gone") {
    Halfway::show(*halfway.at_target(), "Shutoff", "Crashed");
    halfway.check_lost("it ended on node node2 (Crashed) while a part of its memory was still on node node1");
  }
  SECTION("its pod is gone") {
    halfway.at_target()->pod_gone = true;
    halfway.check_lost("its pod on node node2 ended while");
  }
  SECTION("while virt-handler was away") {
    halfway.world.two.end();
    halfway.at_target()->pod_gone = true;
    halfway.at_target()->connected = false;
    halfway.world.two.begin();
    halfway.world.seen_version.clear();
    halfway.check_lost("its pod on node node2 ended while");
  }
}

TEST_CASE("post-copy: the target's virt-handler is gone, and the source looks what became of the guest") {
  Halfway halfway;
  halfway.world.two.end();
  Halfway::show(*halfway.at_source(), "Paused", "PostcopyFailed");
  SECTION("its node answers: nothing is concluded") {
    REQUIRE(halfway.for_seconds(300));
    CHECK_FALSE(halfway.world.is("failed"));
    CHECK(halfway.world.one.launcher->count("delete") == 0);
  }
  SECTION("its node does not answer") {
    halfway.beat("node2", system_clock().wall() - std::chrono::minutes(6));
    halfway.check_lost("it ran on node node2, which does not answer");
    CHECK(halfway.world.until([&] { return halfway.world.one.launcher->count("delete") == 1; }));
  }
  SECTION("its pod has ended") {
    halfway.pod("pod2", "Failed");
    halfway.check_lost("it ran on node node2, whose pod has ended");
  }
}

TEST_CASE("post-copy goes on over restarts of either virt-handler") {
  Halfway halfway;
  World& world = halfway.world;
  SECTION("the source's: its sockets are there again") {
    world.one.end();
    auto socket = world.one.dir.path() / "pods/1/volumes/kubernetes.io~empty-dir/migration/memory.sock";
    std::filesystem::remove(socket);
    world.one.begin();
    world.seen_version.clear();
    REQUIRE(world.until([&] { return std::filesystem::exists(socket); }));
    world.two.launcher->tell(Kind::RESUMED);
  }
  SECTION("the target's: it has another address") {
    std::string before = world.state("targetNodeAddress");
    world.two.end();
    world.two.begin();
    world.seen_version.clear();
    REQUIRE(world.until([&] { return world.state("targetNodeAddress") != before; }));
    CHECK_FALSE(world.is("completed"));
    world.two.launcher->tell(Kind::RESUMED);
  }
  SECTION("both, and meanwhile all has come") {
    world.one.end();
    world.two.end();
    world.two.launcher->tell(Kind::RESUMED);
    world.two.begin();
    world.one.begin();
    world.seen_version.clear();
  }
  halfway.check_moved();
}
