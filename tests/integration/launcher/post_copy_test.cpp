// Post-copy that is interrupted: it goes on when its link is back, whoever died meanwhile; and what is lost is told.
#include <catch2/catch.hpp>

#include <csignal>
#include <fstream>

#include "api/names.hpp"
#include "migrating_pair.hpp"
#include "pkg/libvirt/qmp_client.hpp"

using namespace nodevirt;
using namespace nodevirt::test;
using Event = rpc::v1::MigrationEvent;

namespace {

/// vm.unprivileged_userfaultfd of this machine, put back at the end.
class Allowed {
 public:
  Allowed() : before_(read_file(kPath, 16).value_or("")) { std::ofstream(kPath) << "1"; }
  ~Allowed() { std::ofstream(kPath) << before_; }

 private:
  static constexpr const char* kPath = "/proc/sys/vm/unprivileged_userfaultfd";
  std::string before_;
};

/// A pair in the middle of post-copy; the daemons' link is in the test's hands.
struct Halfway {
  Allowed allowed;
  MigratingPair pair;
  std::unique_ptr<Relay> relay;

  explicit Halfway(MigratingPair::Options options = {16u << 20}) : pair(std::move(options)) {
    mend_link();
    pair.start();
    REQUIRE(pair.prepared.post_copy_possible());
    auto q = pair.migrate_request();
    q.set_bandwidth_mib_per_second(4);
    q.set_max_downtime_ms(1);
    q.set_allow_post_copy(true);
    REQUIRE(pair.migrate(q).ok());
    while (pair.await_source(Event::SAMPLE).sample().memory_processed_bytes() == 0) {}
    rpc::v1::SteerRequest s;
    *s.mutable_domain() = pair.source.domain_request();
    s.set_migration_uid(pair.uid);
    s.set_start_post_copy(true);
    REQUIRE(pair.source.wait(pair.client(pair.source).steer(s)).ok());
    pair.await_source(Event::POST_COPY);
    pair.await_target(Event::POST_COPY);
  }
  void mend_link() {
    relay.reset();
    relay = std::make_unique<Relay>(pair.source.path(api::kMigrationDir) / "source-libvirt.sock", pair.target->path(api::kMigrationDir) / "target-libvirt.sock");
  }
  /// Both streams end, and nothing comes through any more.
  void cut_link() {
    relay->cut();
    auto qmp = libvirt::QmpClient::connect(pair.source.path(api::kPrivateDir) / Pod::kUid / "qmp");
    REQUIRE(qmp.ok());
    auto paused = qmp->execute("migrate-pause");
    INFO((paused.ok() ? "" : paused.error().message));
    REQUIRE(paused.ok());
  }
  void await_broken() {
    REQUIRE(Pod::eventually([&] { return pair.target->state().reason() == "PostcopyFailed"; }));
  }
  void check_it_arrives() {
    pair.await_target(Event::RESUMED);
    REQUIRE(Pod::eventually([&] { return pair.standing(pair.source).kind() == Event::ENDED; }));
    CHECK(pair.standing(pair.source).error().empty());
    pair.check_moved();
  }
};

void kill_child(Pod& pod, const char* name) {
  pid_t victim = pod.child(name);
  REQUIRE(victim > 0);
  ::kill(victim, SIGKILL);
  if (std::string_view(name) == "virt-launcher") pod.forget_client();
}

}  // namespace

TEST_CASE("post-copy goes on when the link is back", "[migration]") {
  Halfway halfway;
  halfway.cut_link();
  halfway.await_broken();
  auto stands = halfway.pair.last_count();
  CHECK(halfway.pair.standing(halfway.pair.source).kind() == Event::POST_COPY);
  CHECK(halfway.pair.standing(*halfway.pair.target).kind() == Event::POST_COPY);
  CHECK(halfway.pair.cancel().error().reason == "PostCopy");
  halfway.mend_link();
  halfway.check_it_arrives();
  CHECK(halfway.pair.last_count() > stands);
}

TEST_CASE("post-copy: what dies and comes back does no harm", "[migration][long]") {
  struct Case { const char* name; bool cut; const char* source; const char* target; };
  for (auto& c : {Case{"nothing but the daemons' link is cut", false, nullptr, nullptr}, Case{"the source's launcher", false, "virt-launcher", nullptr},
                  Case{"the source's launcher, and the link", true, "virt-launcher", nullptr}, Case{"the source's libvirtd, and the link", true, "libvirtd", nullptr},
                  Case{"the target's launcher", false, nullptr, "virt-launcher"}, Case{"the target's launcher, and the link", true, nullptr, "virt-launcher"},
                  Case{"the target's libvirtd", false, nullptr, "libvirtd"}, Case{"the target's libvirtd, and the link", true, nullptr, "libvirtd"}}) {
    DYNAMIC_SECTION(c.name) {
      Halfway halfway;
      MigratingPair& pair = halfway.pair;
      if (c.cut) halfway.cut_link();
      else if (!c.source && !c.target) halfway.relay->cut();
      if (c.source) kill_child(pair.source, c.source);
      if (c.target) kill_child(*pair.target, c.target);
      if (c.cut) {
        REQUIRE(Pod::eventually([&] { return pair.standing(pair.source).kind() == Event::POST_COPY && pair.standing(*pair.target).kind() == Event::POST_COPY; }));
        halfway.mend_link();
      }
      REQUIRE(Pod::eventually([&] { return pair.standing(*pair.target).kind() == Event::RESUMED; }));
      REQUIRE(Pod::eventually([&] { return pair.standing(pair.source).kind() == Event::ENDED; }));
      CHECK(pair.standing(pair.source).error().empty());
      pair.source.forget_client();
      pair.target->forget_client();
      pair.check_moved();
    }
  }
}

TEST_CASE("post-copy: with the source's QEMU gone the source says so, and the target waits", "[migration]") {
  Halfway halfway;
  kill_child(halfway.pair.source, "qemu-system");
  auto ended = halfway.pair.await_end();
  CHECK_FALSE(ended.error().empty());
  halfway.await_broken();
  CHECK(halfway.pair.standing(*halfway.pair.target).kind() == Event::POST_COPY);
}

TEST_CASE("post-copy: with the target's QEMU gone the source keeps what it has until it is told", "[migration][long]") {
  Halfway halfway;
  kill_child(*halfway.pair.target, "qemu-system");
  REQUIRE(Pod::eventually([&] { return halfway.pair.source.state().reason() == "PostcopyFailed"; }));
  CHECK(halfway.pair.target->exit_code() == 1);
  CHECK(halfway.pair.source.child("qemu-system") > 0);
  CHECK(halfway.pair.standing(halfway.pair.source).kind() == Event::POST_COPY);
}
