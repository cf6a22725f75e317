// Why a migration failed, as a person reads it: the cause, not what broke because of it.
#include "two_nodes.hpp"
#include "virt-handler/migration/source/why.hpp"

using namespace nodevirt;
using namespace nodevirt::virt_handler::migration;
using namespace nodevirt::virt_handler::migration::test;

TEST_CASE("the first, true cause out of what is told of one end") {
  const std::string vague = "the connection to the target's QEMU was lost (operation failed: Broken pipe)", specific = "the target has no disk space left (x)";
  const std::string refused = "connect to virt-handler of node b at 10.0.0.2:1: the other node's virt-handler refused the stream: open disk.sock below /x: No such file or directory";
  const std::string unreachable = "connect to virt-handler of node b at 10.0.0.2:1: Connection refused";
  struct Case { const char* name; Told told; std::string want; };
  for (const Case& c : {
           Case{"who called it off has the word", {"cancelled", "QEMU", refused, "b"}, "cancelled"},
           Case{"the job knows", {specific, "QEMU", refused, "b"}, specific},
           Case{"the job knows only that something broke, the target knows more", {vague, "QEMU", "", "b"}, "the target's QEMU on node b has ended: " + vague},
           Case{"nobody knows more", {vague, "", refused, "b"}, vague},
           Case{"only the target tells", {"", "pod", "", "b"}, "the target's pod on node b has ended"},
           Case{"the guest went on, and the target tells", {"the guest went on at the source: QEMU's migration is failed", "QEMU", "", "b"}, "the target's QEMU on node b has ended"},
           Case{"called off here for what the target tells", {std::string(kCalledOff), "QEMU", "", "b"}, "the target's QEMU on node b has ended"},
           Case{"called off here, and nothing is known", {std::string(kCalledOff), "", "", "b"}, std::string(kCalledOff)},
           Case{"a stream that nobody took", {"", "", refused, "b"}, "the target's QEMU on node b has ended, or does not listen (" + refused + ")"},
           Case{"a node that nobody answers on", {"", "", unreachable, "b"}, "virt-handler of node b cannot be reached (" + unreachable + ")"},
           Case{"another refusal", {"", "", "the other node's virt-handler refused the stream: too many streams", "b"}, "the other node's virt-handler refused the stream: too many streams"},
           Case{"nothing is known", {"", "", "", "b"}, "the guest went on at the source"},
           Case{"nothing more is known", {"the guest went on at the source: the guest runs here", "", "", "b"}, "the guest went on at the source: the guest runs here"},
       })
    DYNAMIC_SECTION(c.name) { CHECK(why_it_failed(c.told) == c.want); }
}

TEST_CASE("the end of the target's QEMU, or of its pod, is the reason that is read") {
  World world;
  REQUIRE(world.until([&] { return world.one.launcher->count("migrate") == 1; }));
  auto target = world.two.launchers.of_pod("default", "pod2");
  std::string what, job = "the connection to the target's QEMU was lost (Broken pipe)";
  target->domain->set_present(true);
  REQUIRE(world.until([&] { return bool_at(world.vmi(), {"status", "migrationState", "targetNodeDomainDetected"}); }));
  SECTION("QEMU") {
    what = "QEMU";
    target->domain->set_present(false);
  }
  SECTION("QEMU, and libvirt still has the domain") {
    what = "QEMU";
    target->domain->set_state("Shutoff");
  }
  SECTION("the pod") {
    what = "pod";
    target->pod_gone = true;
  }
  SECTION("what the job knows by itself comes first") {
    job = "the target has not enough memory (x)";
    target->domain->set_present(false);
  }
  // In whichever order they come.
  world.one.launcher->tell(Kind::ENDED, job);
  REQUIRE(world.until([&] { return world.is("failed"); }));
  CHECK(world.state("failureReason") == (what.empty() ? job : "the target's " + what + " on node node2 has ended: " + job));
  CHECK(world.guest.at_source);
}

TEST_CASE("a job that only lost its stream has failed for that, when the target has nothing to tell") {
  World world;
  REQUIRE(world.until([&] { return world.one.launcher->count("migrate") == 1; }));
  world.one.launcher->tell(Kind::ENDED, "the connection to the target's QEMU was lost (Broken pipe)");
  REQUIRE(world.until([&] { return world.is("failed"); }));
  CHECK(world.state("failureReason") == "the connection to the target's QEMU was lost (Broken pipe)");
}
