// A migration between two nodes' virt-handlers: what they ask of the launchers, what they write, and what they do when
// something fails or one of them is restarted.
#include <fcntl.h>

#include "two_nodes.hpp"
#include "unix_streams.hpp"

using namespace nodevirt;
using namespace nodevirt::virt_handler::migration;
using namespace nodevirt::virt_handler::migration::test;

TEST_CASE("a guest moves") {
  World world;
  world.change([](Json& vmi) { vmi["status"]["migrationState"]["migrationConfiguration"] = {{"bandwidthPerMigration", "64Mi"}}; });
  world.to_switchover();
  CHECK_FALSE(world.state("targetNodeAddress").empty());
  CHECK_FALSE(world.state("startTimestamp").empty());
  CHECK(world.one.launcher->migrate_request.bandwidth_mib_per_second() == 64);
  CHECK(world.one.launcher->migrate_request.target().memory_socket().ends_with("memory.sock"));
  CHECK(world.one.launcher->migrate_request.copied_disks_size() == 1);
  CHECK(world.one.launcher->count("release") == 0);
  world.load();
  REQUIRE(world.until([&] { return world.is("completed"); }));
  CHECK_FALSE(world.guest.at_source);
  CHECK(world.guest.at_target);
  Json vmi = world.vmi();
  CHECK(string_at(vmi, {"status", "nodeName"}) == "node2");
  CHECK(string_at(vmi, {"metadata", "labels", "kubevirt.io/nodeName"}) == "node2");
  CHECK(string_at(vmi["status"]["interfaces"][0], {"ipAddress"}) == "10.0.0.2");
  CHECK(string_at(vmi, {"status", "activePods", "2"}) == "node2");
  CHECK_FALSE(world.is("failed"));
  CHECK(world.owner().empty());
  world.one.launcher->tell(Kind::ENDED);
  CHECK(world.until([&] { return world.one.launcher->count("delete") == 1; }));
  CHECK(world.two.launcher->count("resume") == 1);
}

TEST_CASE("a paused guest stays paused") {
  World world;
  world.change([](Json& vmi) { vmi["status"]["conditions"] = {{{"type", "Paused"}, {"status", "True"}}}; });
  world.to_switchover();
  world.load();
  REQUIRE(world.until([&] { return world.is("completed"); }));
  CHECK(world.two.launcher->resume_request.keep_paused());
}

TEST_CASE("what goes wrong before the switch-over leaves the guest where it is") {
  struct Case { const char* name; std::function<void(World&)> fault; const char* why; };
  const Case cases[] = {
      {"the target cannot be prepared", [](World& w) { w.two.launcher->prepare_error = Error{Code::InvalidArgument, "no such image"}; }, "no such image"},
      {"the job cannot begin", [](World& w) { w.one.launcher->migrate_error = Error{Code::FailedPrecondition, "NoMonitor", "restart the guest first"}; }, "restart the guest"},
      {"the job fails", [](World& w) { w.one.launcher->on_migrate = [&w] { w.one.launcher->tell(Kind::ENDED, "out of memory"); }; }, "out of memory"},
      {"it is cancelled before it begins", [](World& w) { w.change([](Json& vmi) { vmi["status"]["migrationState"]["abortRequested"] = true; }); }, "cancelled"},
      {"it is cancelled while it runs", [](World& w) {
         w.one.launcher->on_migrate = [&w] { w.change([](Json& vmi) { vmi["status"]["migrationState"]["abortRequested"] = true; }); };
       }, "cancelled"},
  };
  for (const Case& c : cases) {
    DYNAMIC_SECTION(c.name) {
      World world;
      c.fault(world);
      REQUIRE(world.until([&] { return world.is("failed"); }));
      CHECK(world.state("failureReason").find(c.why) != std::string::npos);
      CHECK(world.owner().find("source") != std::string::npos);
      CHECK(world.guest.at_source);
      CHECK(string_at(world.vmi(), {"status", "nodeName"}) == "node1");
      CHECK(world.one.launcher->count("release") == 0);
      CHECK(world.until([&] { return world.two.launcher->count("abandon") == 1; }));
      CHECK_FALSE(world.is("completed"));
    }
  }
}

TEST_CASE("the source went on: the target is given up") {
  World world;
  world.to_switchover();
  world.one.launcher->kept = true;
  world.load();
  REQUIRE(world.until([&] { return world.is("failed") && world.two.launcher->count("abandon") == 1; }));
  CHECK(world.guest.at_source);
  CHECK(world.two.launcher->count("resume") == 0);
}

TEST_CASE("a release that cannot be answered is asked again") {
  World world;
  world.to_switchover();
  world.one.launcher->release_error = Error{Code::Unavailable, "NotYet", "not yet"};
  world.load();
  REQUIRE(world.until([&] { return world.is("completed"); }));
  CHECK(world.one.launcher->count("release") == 2);
}

TEST_CASE("either virt-handler is restarted in the switch-over") {
  SECTION("the source's, before the release") {
    World world;
    world.to_switchover();
    REQUIRE(world.until([&] { return std::filesystem::exists(world.one.dir.path() / "state/migrations/m1"); }));
    world.one.end();
    world.load();
    world.one.begin();
    world.seen_version.clear();
    REQUIRE(world.until([&] { return world.is("completed"); }));
    CHECK_FALSE(world.guest.at_source);
    CHECK(world.guest.at_target);
  }
  SECTION("the source's, after the release") {
    World world;
    world.to_switchover();
    REQUIRE(world.until([&] { return std::filesystem::exists(world.one.dir.path() / "state/migrations/m1"); }));
    world.one.end();
    world.guest.at_source = false;
    world.one.launcher->tell(Kind::RELEASED);
    world.load();
    world.one.begin();
    world.seen_version.clear();
    REQUIRE(world.until([&] { return world.is("completed"); }));
    CHECK(world.guest.at_target);
  }
  SECTION("the target's, after it was loaded") {
    World world;
    world.to_switchover();
    world.two.end();
    world.load();
    world.two.begin();
    world.seen_version.clear();
    REQUIRE(world.until([&] { return world.is("completed"); }));
    CHECK(world.two.launcher->count("prepare") == 1);
    CHECK(world.guest.at_target);
  }
  SECTION("the target's, after it was resumed") {
    World world;
    world.to_switchover();
    world.two.end();
    world.guest = {.at_source = false, .at_target = true, .loaded = true};
    world.two.launcher->tell(Kind::RESUMED);
    world.two.begin();
    world.seen_version.clear();
    REQUIRE(world.until([&] { return world.is("completed"); }));
    CHECK(world.two.launcher->count("resume") == 0);
  }
  SECTION("the source's, before the job began") {
    World world;
    world.two.launcher->prepare_error = Error{Code::Unavailable, "not yet"};
    world.change([](Json& vmi) { vmi["status"]["migrationState"]["startTimestamp"] = "2026-01-01T00:00:00Z"; });
    REQUIRE(world.until([&] { return world.is("failed"); }));
    CHECK(world.guest.at_source);
  }
}

TEST_CASE("the source's pod ends, and its launcher tells nothing") {
  World world;
  REQUIRE(world.until([&] { return world.one.launcher->count("migrate") == 1; }));
  auto end_pod = [&world] {
    auto launcher = world.one.launchers.of_pod("default", "pod1");
    virt_handler::PodObject ended = *launcher->pod;
    ended.phase = "Failed";
    launcher->pod = std::make_shared<const virt_handler::PodObject>(std::move(ended));
    launcher->connected = false;
    world.guest.at_source = false;
  };
  SECTION("before the switch-over: the migration fails, and the instance's end is the source's") {
    end_pod();
    REQUIRE(world.until([&] { return world.is("failed"); }));
    CHECK(world.state("failureReason") == "the source's pod ended");
    CHECK_FALSE(world.is("completed"));
    CHECK(world.until([&] { return world.two.launcher->count("abandon") == 1; }));
  }
  SECTION("with the guest whole at the target: it runs there") {
    world.one.launcher->tell(Kind::SWITCHOVER);
    REQUIRE(world.until([&] { return std::filesystem::exists(world.one.dir.path() / "state/migrations/m1"); }));
    world.load();
    end_pod();
    REQUIRE(world.until([&] { return world.is("completed"); }));
    CHECK_FALSE(world.is("failed"));
    CHECK(world.guest.at_target);
  }
}

TEST_CASE("the instance is gone: nothing more is done") {
  World world;
  world.to_switchover();
  auto decoded = virt_handler::InstanceObject::decode(world.vmi());
  REQUIRE(decoded.ok());
  auto last = std::make_shared<const virt_handler::InstanceObject>(std::move(*decoded));
  world.api->erase(world.vmis, "default", "vm1");
  world.one.migrations->ours_changed(last, nullptr);
  world.two.migrations->coming_changed(last, nullptr);
  auto go_on = [&world](int rounds) {
    for (int i = 0; i < rounds; ++i) {
      world.io.restart();
      world.io.run_one_for(std::chrono::milliseconds(5));
      world.io.poll();
    }
  };
  go_on(20);
  world.load();
  go_on(20);
  CHECK(world.one.launcher->count("release") == 0);
  CHECK(world.two.launcher->count("resume") == 0);
}

TEST_CASE("a disk's stream to a target whose QEMU has ended is cut: libvirt would wait for it while the guest stands still") {
  const std::filesystem::path socket = "volumes/kubernetes.io~empty-dir/migration/disk.sock";
  World world;
  launcher::v1::DomainState& domain = world.two.launchers.of_pod("default", "pod2")->domain.emplace();
  domain.set_present(true);
  domain.set_state("Running");
  Fd at_target = nodevirt::test::listen_at(world.two.dir.path() / "pods/2" / socket);
  ::fcntl(at_target.get(), F_SETFL, O_NONBLOCK);
  world.to_switchover();
  Fd disk = nodevirt::test::connect_to(world.one.dir.path() / "pods/1" / socket), taken;
  REQUIRE(world.until([&] { return bool(taken = nodevirt::test::accept_at(at_target)); }));
  auto taken_end = [&] {
    char byte;
    return ::recv(disk.get(), &byte, 1, MSG_DONTWAIT) == 0;
  };
  CHECK_FALSE(taken_end());

  domain.set_state("Shutoff");  // whoever held the other end of the disk's stream holds it still
  REQUIRE(world.until(taken_end));
  world.one.launcher->tell(Kind::ENDED, "the disk's copy broke");
  REQUIRE(world.until([&] { return world.is("failed"); }));
  CHECK(world.guest.at_source);
  CHECK(world.one.launcher->count("release") == 0);
}
