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

  Result<Json> execute(std::string_view command, const Json& arguments) {
    if (command == "query-jobs") return Json(jobs);
    if (command == "query-named-block-nodes") {
      Json out = Json::array();
      for (auto& n : nodes) out.push_back({{"node-name", n}});
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
