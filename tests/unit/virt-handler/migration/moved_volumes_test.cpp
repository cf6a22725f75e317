// A guest that arrived with its disks: one write says where it is and which claims it has.
#include <catch2/catch.hpp>

#include "pkg/k8s/json_patch.hpp"
#include "virt-handler/migration/moved_volumes.hpp"
#include "virt-handler/migration/patches.hpp"

using namespace nodevirt;
using namespace nodevirt::virt_handler::migration;

namespace {

Json instance() {
  return Json::parse(R"({"metadata":{"name":"vm","namespace":"n","uid":"u","resourceVersion":"7","labels":{"kubevirt.io/nodeName":"a"}},
    "status":{"nodeName":"a","migrationState":{"migrationUid":"m","startTimestamp":"2026-01-01T00:00:00Z"},
              "conditions":[{"type":"Ready","status":"True"},{"type":"VolumesChange","status":"True"}],
              "volumeStatus":[{"name":"data","target":"vdb","persistentVolumeClaimInfo":{"claimName":"old"}},{"name":"root","target":"vda"}],
              "migratedVolumes":[{"volumeName":"data","sourcePVCInfo":{"claimName":"old"},"destinationPVCInfo":{"claimName":"new","accessModes":["ReadWriteOnce"]}}]}})");
}

}  // namespace

TEST_CASE("the claims change with the node, in the same write") {
  Json vmi = instance();
  Json patch = completed_patch(vmi, "m", {.node = "b"}, *parse_time("2026-01-01T00:00:09Z"));
  auto done = k8s::apply_json_patch(vmi, patch);
  REQUIRE(done.ok());
  const Json& status = (*done)["status"];
  CHECK(status["nodeName"] == "b");
  CHECK(status["migrationState"]["completed"] == true);
  CHECK(status["migratedVolumes"].empty());
  CHECK(status["volumeStatus"][0]["persistentVolumeClaimInfo"]["claimName"] == "new");
  CHECK(status["volumeStatus"][0]["target"] == "vdb");
  CHECK_FALSE(status["volumeStatus"][1].contains("persistentVolumeClaimInfo"));
  CHECK(status["conditions"].size() == 1);
  // Whoever changed the instance in between is not overwritten.
  vmi["metadata"]["resourceVersion"] = "8";
  CHECK_FALSE(k8s::apply_json_patch(vmi, patch).ok());
}

TEST_CASE("a migration that fails leaves the volumes where they are") {
  Json vmi = instance();
  auto done = k8s::apply_json_patch(vmi, failed_patch(vmi, "m", "no", *parse_time("2026-01-01T00:00:09Z")));
  REQUIRE(done.ok());
  CHECK(has_moved_volumes(*done));
  CHECK((*done)["status"]["volumeStatus"] == vmi["status"]["volumeStatus"]);
}

TEST_CASE("without volumes that move nothing is said of them") {
  Json vmi = instance();
  vmi["status"].erase("migratedVolumes");
  auto done = k8s::apply_json_patch(vmi, completed_patch(vmi, "m", {.node = "b"}, *parse_time("2026-01-01T00:00:09Z")));
  REQUIRE(done.ok());
  CHECK_FALSE((*done)["status"].contains("migratedVolumes"));
  CHECK((*done)["status"]["conditions"].size() == 2);
}
