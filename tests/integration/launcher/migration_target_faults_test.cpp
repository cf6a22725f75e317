// Targets that cannot take the guest: the migration fails with a message that names the cause, the guest runs on unharmed,
// nothing is left at the target, and the next migration works.
#include <catch2/catch.hpp>

#include <csignal>
#include <future>
#include <sys/mount.h>

#include "api/names.hpp"
#include "migrating_pair.hpp"
#include "pkg/libvirt/qmp_client.hpp"

using namespace nodevirt;
using namespace nodevirt::test;
using Event = rpc::v1::MigrationEvent;

namespace {

/// A file system of that size over a folder, for everybody.
class SmallDisk {
 public:
  SmallDisk(std::filesystem::path where, const char* size) : where_(std::move(where)) {
    std::string options = std::string("mode=0777,size=") + size;
    if (::mount("tmpfs", where_.c_str(), "tmpfs", 0, options.c_str()) != 0) FAIL("mounting a file system needs root: " << std::strerror(errno));
  }
  ~SmallDisk() { ::umount2(where_.c_str(), MNT_DETACH); }

 private:
  std::filesystem::path where_;
};

rpc::v1::MigrationEvent fail(MigratingPair& pair, std::uint64_t bandwidth = 0) {
  auto q = pair.migrate_request();
  q.set_bandwidth_mib_per_second(bandwidth);
  REQUIRE(pair.migrate(q).ok());
  return pair.await_end();
}

void check_failed(MigratingPair& pair, const rpc::v1::MigrationEvent& ended, std::vector<std::string> words) {
  INFO(ended.error());
  for (auto& word : words) CHECK(ended.error().find(word) != std::string::npos);
  CHECK(ended.error().find('\n') == std::string::npos);
  REQUIRE(pair.abandon().ok());
  pair.check_target_is_clean();
  pair.check_stayed();
}

void check_next(MigratingPair& pair) {
  pair.next_migration("b2a7a4a0-0000-4000-8000-000000000002");
  REQUIRE(pair.migrate().ok());
  pair.hand_over();
  pair.check_moved();
}

// Takes the line of the capability cache that has both words.
std::function<void(std::string&)> without(std::string kind, std::string name) {
  return [=](std::string& xml) {
    if (xml.find("<emulator>/usr/bin/qemu-system-x86_64<") == std::string::npos) return;
    auto at = xml.find("name='" + name + "'");
    REQUIRE(at != std::string::npos);
    auto begin = xml.rfind('\n', at), end = xml.find('\n', at);
    REQUIRE(xml.substr(begin, end - begin).find("<" + kind + " ") != std::string::npos);
    REQUIRE(xml.substr(begin, end - begin).ends_with("/>"));
    xml.erase(begin, end - begin);
  };
}

// Until some of the memory has gone over.
void begin_slowly(MigratingPair& pair) {
  pair.start();
  auto q = pair.migrate_request();
  q.set_bandwidth_mib_per_second(1);
  REQUIRE(pair.migrate(q).ok());
  while (pair.await_source(Event::SAMPLE).sample().memory_processed_bytes() == 0) {}
}

}  // namespace

TEST_CASE("the target has not enough memory for the guest", "[migration][long]") {
  MigratingPair::Options o;
  o.memory = "2Gi";                       // of which the guest touches little
  o.target.address_space = 2200ull << 20;  // what QEMU itself takes fits, the guest's memory does not
  MigratingPair pair(o);
  pair.start();
  auto ended = fail(pair);
  check_failed(pair, ended, {"the target has not enough memory", "Cannot allocate memory"});
  check_next(pair);
}

TEST_CASE("the target's QEMU is killed, as the kernel does when memory is short", "[migration]") {
  MigratingPair pair;
  begin_slowly(pair);
  REQUIRE(::kill(pair.target->child("qemu-system"), SIGKILL) == 0);
  auto ended = pair.await_end();
  check_failed(pair, ended, {"the target's QEMU"});
  check_next(pair);
}

// QEMU loses count of the copy's filter there, and copies the disk no more (virt-launcher/migration/leftovers.hpp).
TEST_CASE("the target's QEMU dies while the guest is being stopped and the disk's copy has something under way", "[migration]") {
  MigratingPair pair;
  begin_slowly(pair);
  pid_t qemu = pair.target->child("qemu-system");
  REQUIRE(::kill(qemu, SIGSTOP) == 0);
  for (int writes = 0; writes < 3; ++writes) pair.await_progress(pair.source);
  rpc::v1::SteerRequest stop;
  stop.set_migration_uid(pair.uid);
  stop.set_pause_guest(true);
  *stop.mutable_domain() = pair.source.domain_request();
  auto& client = pair.client(pair.source);
  auto steering = std::async(std::launch::async, [&] { return pair.source.wait(client.steer(stop)); });  // QEMU answers when the copy does
  pair.await_source(Event::SWITCHOVER);
  // Its main thread waits for the copy now, and answers nobody. (The launcher has the monitor for moments only.)
  auto monitor = pair.source.path(api::kPrivateDir) / Pod::kUid / "qmp";
  for (int silent = 0; silent < 3;) silent = libvirt::QmpClient::connect(monitor, 300ms).ok() ? 0 : silent + 1;
  REQUIRE(::kill(qemu, SIGKILL) == 0);
  auto ended = pair.await_end();
  check_failed(pair, ended, {"the target's QEMU"});
  pair.next_migration("b2a7a4a0-0000-4000-8000-000000000002");
  auto next = pair.migrate();
  if (next.ok()) {  // a QEMU that counts
    pair.hand_over();
    return pair.check_moved();
  }
  CHECK(next.error().reason == "CopyFilterStays");
  CHECK(next.error().message.find("once it was restarted") != std::string::npos);
  pair.check_stayed();
}

TEST_CASE("the target's disk is full", "[migration]") {
  MigratingPair::Options o;
  o.same_image = false;  // so that the whole disk is copied
  o.disk_bytes = 12u << 20;
  MigratingPair pair(o);
  {
    SmallDisk disk(pair.target->path(api::kEphemeralDir), "4m");
    pair.start();
    auto ended = fail(pair);
    check_failed(pair, ended, {"the target has no disk space left", "vda", "No space left on device"});
  }
  check_next(pair);
}

TEST_CASE("the target's QEMU has not the guest's processor", "[migration]") {
  MigratingPair::Options o;
  o.changes = Json::parse(R"({"spec":{"domain":{"cpu":{"model":"qemu64"}}}})");
  o.target.capabilities = without("cpu", "qemu64");
  MigratingPair pair(o);
  pair.start();
  auto ended = fail(pair);
  check_failed(pair, ended, {"the target's processor lacks what this guest was started with", "qemu64"});
  check_next(pair);
}

TEST_CASE("the target's QEMU has not the guest's machine type", "[migration]") {
  MigratingPair::Options o;
  o.changes = Json::parse(R"({"spec":{"domain":{"machine":{"type":"pc-q35-6.2"}}}})");
  o.target.capabilities = without("machine", "pc-q35-6.2");
  MigratingPair pair(o);
  pair.start();
  auto ended = fail(pair);
  check_failed(pair, ended, {"the target's QEMU does not know this guest's machine type", "pc-q35-6.2"});
  check_next(pair);
}
