// What a migration that lost its libvirt leaves in QEMU, and how it goes.
#include <catch2/catch.hpp>

#include "virt-launcher/migration/leftovers.hpp"

using namespace nodevirt;
using namespace nodevirt::virt_launcher::migration;

namespace {

/// As much of QEMU's block layer as the removal asks.
struct Qemu {
  Json jobs = Json::array();
  std::vector<std::string> nodes, did;
  bool filter = false;  // a copy's, in front of a disk

  Result<Json> execute(std::string_view command, const Json& arguments) {
    if (command == "query-jobs") return Json(jobs);
    if (command == "query-named-block-nodes") {
      Json out = Json::array();
      for (auto& n : nodes) out.push_back({{"node-name", n}, {"drv", "qcow2"}});
      if (filter) out.push_back({{"node-name", "#block050"}, {"drv", "mirror_top"}});
      return out;
    }
    did.push_back(std::string(command) + " " + arguments.front().get<std::string>());
    if (command == "block-job-cancel") jobs[0]["status"] = "concluded";
    if (command == "job-dismiss") jobs.erase(0);
    if (command == "blockdev-del") {
      if (!jobs.empty()) return Error(Code::FailedPrecondition, "Node is in use");
      std::erase(nodes, arguments["node-name"].get<std::string>());
    }
    return Json::object();
  }
  Result<void> drop() {
    return drop_leftovers([this](std::string_view command, const Json& arguments) { return execute(command, arguments); });
  }
};

}  // namespace

TEST_CASE("copies that a dead libvirt left are ended and removed, formats first") {
  Qemu qemu;
  qemu.jobs = {{{"id", "drive-virtio-disk2"}, {"type", "mirror"}, {"status", "ready"}}};
  qemu.nodes = {"libvirt-1-storage", "migration-vdc-storage", "migration-vdc-format", "libvirt-1-format"};
  REQUIRE(qemu.drop().ok());
  CHECK(qemu.nodes == std::vector<std::string>{"libvirt-1-storage", "libvirt-1-format"});
  CHECK(qemu.did == std::vector<std::string>{"block-job-cancel drive-virtio-disk2", "job-dismiss drive-virtio-disk2",
                                             "blockdev-del migration-vdc-format", "blockdev-del migration-vdc-storage"});
}

TEST_CASE("where no copy was left no job is touched") {
  Qemu qemu;
  qemu.jobs = {{{"id", "backup"}, {"type", "mirror"}, {"status", "running"}}};
  qemu.nodes = {"libvirt-1-format"};
  REQUIRE(qemu.drop().ok());
  CHECK(qemu.did.empty());
}

TEST_CASE("a copy's filter without a copy is named before QEMU refuses the next copy") {
  Qemu qemu;
  auto execute = [&](std::string_view command, const Json& arguments) { return qemu.execute(command, arguments); };
  qemu.nodes = {"libvirt-1-format"};
  CHECK(can_copy(execute).ok());
  qemu.filter = true;
  auto stuck = can_copy(execute);
  REQUIRE_FALSE(stuck.ok());
  CHECK(stuck.error().reason == "CopyFilterStays");
  CHECK(block_state(execute) == "jobs [], nodes libvirt-1-format (qcow2) #block050 (mirror_top)");
  qemu.jobs = {{{"id", "drive-virtio-disk0"}, {"type", "mirror"}, {"status", "running"}}};  // it is that job's
  CHECK(can_copy(execute).ok());
}

TEST_CASE("a migration that was called off while QEMU was about to wait for its switch-over is let end") {
  using namespace std::chrono_literals;
  std::string status = "active";
  std::vector<std::string> did;
  bool deaf = false;
  const Execute qemu = [&](std::string_view command, const Json& arguments) -> Result<Json> {
    if (deaf) return Error(Code::Unavailable, "no answer");
    if (command == "query-migrate") return Json{{"status", status}};
    did.push_back(std::string(command) + " " + arguments.dump());
    return Json::object();
  };
  std::chrono::steady_clock::time_point start{};
  Cancelling cancelling;
  CHECK_FALSE(cancelling.let_end(qemu, start));
  CHECK_FALSE(cancelling.let_end(qemu, start + 1s));
  status = "cancelling";
  CHECK_FALSE(cancelling.let_end(qemu, start + 2s));
  CHECK_FALSE(cancelling.let_end(qemu, start + 2400ms));
  deaf = true;
  CHECK_FALSE(cancelling.let_end(qemu, start + 4s));   // how it stands is not known
  deaf = false;
  CHECK_FALSE(cancelling.let_end(qemu, start + 5s));
  CHECK(did.empty());
  CHECK(cancelling.let_end(qemu, start + 5500ms));
  CHECK(did == std::vector<std::string>{R"(migrate-continue {"state":"cancelling"})"});
  status = "cancelled";
  CHECK_FALSE(cancelling.let_end(qemu, start + 7s));
  CHECK(did.size() == 1);
}
