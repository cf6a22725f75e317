// A disk that moves to another claim: which it is, and how large its new image is made.
#include <catch2/catch.hpp>

#include "pkg/base/file.hpp"
#include "virt-launcher/storage/image.hpp"
#include "virt-launcher/storage/volumes.hpp"

using namespace nodevirt;
using namespace nodevirt::virt_launcher;
namespace fs = std::filesystem;

namespace {

Json instance() {
  return Json::parse(R"({"apiVersion":"kubevirt.io/v1","kind":"VirtualMachineInstance","metadata":{"name":"vm","namespace":"n","uid":"u"},
    "spec":{"domain":{"devices":{"disks":[{"name":"data","disk":{"bus":"virtio"}}]}},
            "volumes":[{"name":"data","persistentVolumeClaim":{"claimName":"new"}}]},
    "status":{"volumeStatus":[{"name":"data","target":"vda","persistentVolumeClaimInfo":{"claimName":"old","capacity":{"storage":"1Mi"}}}],
              "migratedVolumes":[{"volumeName":"data","sourcePVCInfo":{"claimName":"old","capacity":{"storage":"1Mi"}},
                                  "destinationPVCInfo":{"claimName":"new","capacity":{"storage":"20Mi"}}}]}})");
}

}  // namespace

TEST_CASE("only a disk that moves to this very claim is copied") {
  Json object = instance();
  auto moves = [&] {
    auto view = api::decode_instance(object);
    REQUIRE(view.ok());
    return storage::moves_to(object, view->spec.volumes[0]);
  };
  CHECK(moves());
  SECTION("it is the old claim still") { object["spec"]["volumes"][0]["persistentVolumeClaim"]["claimName"] = "old"; }
  SECTION("another volume moves") { object["status"]["migratedVolumes"][0]["volumeName"] = "more"; }
  SECTION("it has arrived") { object["status"]["migratedVolumes"] = Json::array(); }
  SECTION("nothing ever moved") { object["status"].erase("migratedVolumes"); }
  CHECK_FALSE(moves());
}

TEST_CASE("a new image is as large as the claim that it is on") {
  TempDir dir("nodevirt-moved-claim");
  Options options;
  options.root = dir.path().string();
  Paths paths(options);
  fs::create_directories(paths.disks / "data");
  Json object = instance();
  std::uint64_t want = 20u << 20;
  SECTION("while it moves") {}
  SECTION("when nothing moves") {
    object["status"].erase("migratedVolumes");
    want = 1u << 20;
  }
  auto view = api::decode_instance(object);
  REQUIRE(view.ok());
  auto made = storage::prepare_volumes(*view, object, paths);
  REQUIRE(made.ok());
  auto image = storage::inspect_image(paths.disks / "data/disk.img");
  REQUIRE(image.ok());
  CHECK(image->virtual_size == want - want / 20);
}
