// Images told by their first bytes, container disks found, seeds put together.
#include <catch2/catch.hpp>

#include <fstream>

#include "pkg/base/file.hpp"
#include "pkg/base/process.hpp"
#include "virt-launcher/storage/cloud_init.hpp"
#include "virt-launcher/storage/image.hpp"
#include "virt-launcher/storage/qemu_img.hpp"
#include "virt-launcher/storage/volumes.hpp"

using namespace nodevirt;
using namespace nodevirt::virt_launcher::storage;
namespace fs = std::filesystem;

namespace {

std::string qcow2_head(std::uint32_t version = 3) {
  std::string h(512, 0);
  h.replace(0, 4, "QFI\xfb");
  h[7] = static_cast<char>(version);
  h[23] = 16;           // cluster bits
  h[28] = 0, h[29] = 1; // 64 KiB
  return h;
}

Result<ImageInfo> inspect(const std::string& head, std::uint64_t size = 4096) {
  return inspect_head({reinterpret_cast<const unsigned char*>(head.data()), head.size()}, size);
}

void touch(const fs::path& p) {
  fs::create_directories(p.parent_path());
  std::ofstream(p) << "x";
}

}  // namespace

TEST_CASE("images are told by their first bytes, and those that lead elsewhere are refused") {
  auto with = [](std::size_t at, char c, std::uint32_t version = 3) {
    std::string h = qcow2_head(version);
    h[at] = c;
    return h;
  };
  struct Case { const char* name; std::string head; const char* format; const char* error; };
  const Case cases[] = {
      {"raw", "boot sector", "raw", ""},
      {"qcow2", qcow2_head(), "qcow2", ""},
      {"qcow2 v2", qcow2_head(2), "qcow2", ""},
      {"backing file", with(15, 1), "", "backing file"},
      {"encrypted", with(35, 1), "", "encrypted"},
      {"data file", with(79, 4), "", "data in another file"},
      {"marked corrupt", with(79, 2), "", "marked corrupt"},
      {"version", with(7, 9), "", "version 9"},
      {"cluster size", with(23, 60), "", "corrupt"},
      {"cut off", qcow2_head().substr(0, 50), "", "cut off"},
      {"vmdk", "KDMV....", "", "VMDK"},
      {"gzip", "\x1f\x8b\x08", "", "gzip"},
  };
  for (auto& c : cases) {
    DYNAMIC_SECTION(c.name) {
      auto info = inspect(c.head);
      REQUIRE(info.ok() == (*c.error == 0));
      if (info.ok()) CHECK(info->format == c.format);
      else CHECK_THAT(info.error().message, Catch::Matchers::Contains(c.error));
    }
  }
  CHECK_FALSE(inspect("", 0).ok());
}

TEST_CASE("what qemu-img makes is what the reader expects") {
  TempDir dir;
  REQUIRE(create_qcow2(dir.path() / "a.qcow2", 10 << 20).ok());
  auto info = inspect_image(dir.path() / "a.qcow2");
  REQUIRE(info.ok());
  CHECK(info->format == "qcow2");
  CHECK(info->virtual_size == 10u << 20);
  REQUIRE(create_overlay(dir.path() / "o.qcow2", dir.path() / "a.qcow2", "qcow2", info->virtual_size).ok());
  CHECK_FALSE(inspect_image(dir.path() / "o.qcow2").ok());  // an overlay refers to another file
  CHECK_FALSE(inspect_image(dir.path()).ok());
  CHECK(inspect_image(dir.path() / "none").error().code == Code::NotFound);
  fs::create_symlink(dir.path() / "a.qcow2", dir.path() / "link");
  CHECK_FALSE(inspect_image(dir.path() / "link").ok());
  CHECK(create_raw(dir.path() / "big", 1ull << 60).error().code == Code::ResourceExhausted);
}

TEST_CASE("an overlay that exists is kept") {
  TempDir dir;
  REQUIRE(create_qcow2(dir.path() / "a.qcow2", 1 << 20).ok());
  REQUIRE(write_file_atomic(dir.path() / "a.qcow2", "the guest's data").ok());
  REQUIRE(create_qcow2(dir.path() / "a.qcow2", 1 << 20).ok());
  CHECK(*read_file(dir.path() / "a.qcow2") == "the guest's data");
}

TEST_CASE("the disk of a container image") {
  TempDir dir;
  const fs::path& root = dir.path();
  CHECK_THAT(find_container_disk(root, "").error().message, Catch::Matchers::Contains("no folder /disk"));
  touch(root / "disk/demo.qcow2");
  CHECK(*find_container_disk(root, "") == root / "disk/demo.qcow2");
  CHECK(*find_container_disk(root, "/disk/demo.qcow2") == root / "disk/demo.qcow2");
  CHECK(find_container_disk(root, "/disk/other").error().code == Code::NotFound);
  touch(root / "outside");
  CHECK(find_container_disk(root / "disk", "../outside").error().code == Code::InvalidArgument);
  fs::create_symlink("/etc/passwd", root / "disk/link");
  CHECK(*find_container_disk(root, "") == root / "disk/demo.qcow2");
  CHECK(find_container_disk(root, "/disk/link").error().code == Code::InvalidArgument);
  touch(root / "disk/second");
  CHECK_THAT(find_container_disk(root, "").error().message, Catch::Matchers::Contains("several files"));
}

TEST_CASE("base64 as Kubernetes accepts it") {
  struct Case { const char* in; const char* want; };
  for (auto& c : {Case{"", ""}, Case{"YQ==", "a"}, Case{"YWI=", "ab"}, Case{"YWJj", "abc"}, Case{"YW\nJj\n", "abc"}}) {
    auto got = decode_base64(c.in);
    REQUIRE(got.ok());
    CHECK(*got == c.want);
  }
  for (const char* bad : {"YQ", "YQ=", "Y", "YQ==YQ==", "Y!==", "=", "YWJj===="}) {
    INFO(bad);
    CHECK_FALSE(decode_base64(bad).ok());
  }
}

TEST_CASE("seeds") {
  api::Instance vmi;
  vmi.metadata.name = "vm";
  vmi.metadata.namespace_ = "ns";
  vmi.metadata.uid = "u";
  api::Volume volume;
  volume.name = "seed";
  SECTION("NoCloud") {
    volume.kind = api::VolumeKind::cloudInitNoCloud;
    auto files = seed_files(vmi, volume, {"#!/bin/sh\n", "version: 2\n", {"ssh-ed25519 AAAA"}});
    CHECK(files.at("user-data") == "#!/bin/sh\n");
    CHECK(files.at("network-config") == "version: 2\n");
    auto meta = parse_json(files.at("meta-data"));
    CHECK((*meta)["instance-id"] == "vm.ns");
    CHECK((*meta)["local-hostname"] == "vm");
    CHECK((*meta)["public-keys"][0] == "ssh-ed25519 AAAA");
  }
  SECTION("ConfigDrive") {
    vmi.spec.hostname = "other";
    volume.kind = api::VolumeKind::cloudInitConfigDrive;
    auto files = seed_files(vmi, volume, {});
    CHECK(files.at("openstack/latest/user_data") == "#cloud-config\n");
    CHECK((*parse_json(files.at("openstack/latest/meta_data.json")))["hostname"] == "other");
    CHECK(files.size() == 2);
  }
  SECTION("secrets") {
    TempDir dir;
    volume.kind = api::VolumeKind::cloudInitNoCloud;
    volume.cloud_init.user_data_secret = "s";
    CHECK(collect_seed(vmi, volume, dir.path()).error().code == Code::NotFound);
    fs::create_directories(dir.path() / "seed");
    REQUIRE(write_file_atomic(dir.path() / "seed/userdata", "from the secret").ok());
    auto seed = collect_seed(vmi, volume, dir.path());
    REQUIRE(seed.ok());
    CHECK(seed->user_data == "from the secret");
  }
  SECTION("as an image") {
    TempDir dir;
    REQUIRE(make_iso(dir.path() / "s.iso", "cidata", {{"user-data", "x"}, {"a/b", "y"}}).ok());
    auto listed = check_output({.argv = {"xorriso", "-indev", (dir.path() / "s.iso").string(), "-find", "/", "-type", "f"}});
    REQUIRE(listed.ok());
    CHECK_THAT(*listed, Catch::Matchers::Contains("user-data"));
    CHECK_THAT(*listed, Catch::Matchers::Contains("a/b"));
  }
}

TEST_CASE("what the definition needs is known before the images are made") {
  TempDir dir("nodevirt-volumes");
  virt_launcher::Options options;
  options.root = dir.path().string();
  virt_launcher::Paths paths(options);
  Json object = Json::parse(R"({"apiVersion": "kubevirt.io/v1", "kind": "VirtualMachineInstance", "metadata": {"name": "a", "namespace": "b", "uid": "c"},
    "spec": {"domain": {"devices": {"disks": [{"name": "scratch", "disk": {"bus": "virtio"}}, {"name": "seed", "disk": {"bus": "virtio"}}]}},
             "volumes": [{"name": "scratch", "emptyDisk": {"capacity": "2Mi"}}, {"name": "seed", "cloudInitNoCloud": {"userData": "x"}}]}})");
  auto view = api::decode_instance(object);
  REQUIRE(view.ok());
  fs::path scratch = paths.ephemeral / "empty/scratch.qcow2", seed = paths.ephemeral / "cloud-init/seed.iso";

  SECTION("they are there in the end") {
    auto made = prepare_volumes(*view, object, paths);
    REQUIRE(made.ok());
    REQUIRE(made->disks.size() == 2);
    CHECK(made->disks[0].path == scratch.string());
    CHECK(made->disks[1].path == seed.string());
    REQUIRE(made->finish().ok());
    CHECK(inspect_image(scratch).value().virtual_size == 2u << 20);
    CHECK(fs::file_size(seed) > 0);
    CHECK(made->finish().ok());
  }
  SECTION("one that cannot be made is named") {
    touch(paths.ephemeral / "empty");  // a file where a folder should be
    auto made = prepare_volumes(*view, object, paths);
    REQUIRE(made.ok());
    auto finished = made->finish();
    REQUIRE_FALSE(finished.ok());
    CHECK(finished.error().message.starts_with("volume scratch: "));
    CHECK(fs::exists(seed));
  }
}
