#include <catch2/catch.hpp>

#include <boost/asio/io_context.hpp>

#include "pkg/base/file.hpp"
#include "standalone/podrunner/volume_files.hpp"
#include "standalone/volumes/names.hpp"
#include "standalone/volumes/plan.hpp"
#include "standalone/volumes/volume_controller.hpp"
#include "tests/support/memory_api.hpp"

using namespace nodevirt;
using namespace nodevirt::volumes;
namespace res = k8s::resources;

namespace {

Json claim(const std::string& storage_class, const std::string& mode = "ReadWriteOnce") {
  Json c = Json::parse(R"({"metadata":{"namespace":"default","name":"c"},"spec":{"resources":{"requests":{"storage":"1Mi"}}}})");
  if (!storage_class.empty()) c["spec"]["storageClassName"] = storage_class;
  c["spec"]["accessModes"] = Json::array({mode});
  return c;
}

struct World {
  explicit World(bool run_files = false) {
    options.data_dir = dir.path().string();
    node.node_name = "n1";
    node.data_dir = dir.path();
    controller = std::make_unique<VolumeController>(client::Client(api), system_clock(), options);
    auto run = [](VolumeController* c, StopToken s, int* n) -> Awaitable<void> {
      co_await c->run(s);
      ++*n;
    };
    spawn(io.get_executor(), run(controller.get(), stop.get_token(), &ended), "volumes");
    if (run_files) spawn(io.get_executor(), podrunner::run_volume_files(client::Client(api), system_clock(), node, stop.get_token()), "files");
  }
  ~World() {
    stop.request_stop();
    until([&] { return ended == 1; });
    io.restart();
    io.run_for(std::chrono::milliseconds(20));
  }
  bool until(std::function<bool()> condition) {
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(10);
    while (!condition()) {
      if (std::chrono::steady_clock::now() > deadline) return false;
      io.restart();
      io.run_one_for(std::chrono::milliseconds(20));
    }
    return true;
  }
  std::string phase(const char* name = "c") {
    const Json* c = api->get(res::kPersistentVolumeClaims, "default", name);
    return c ? string_at(*c, {"status", "phase"}) : "gone";
  }
  std::string volume_of(const char* name = "c") {
    const Json* c = api->get(res::kPersistentVolumeClaims, "default", name);
    return c ? string_at(*c, {"spec", "volumeName"}) : "";
  }
  void remove_claim() {
    auto del = [](client::Client c, bool* done) -> Awaitable<void> {
      (void)co_await c.remove(res::kPersistentVolumeClaims, "default", "c");
      *done = true;
    };
    bool done = false;
    spawn(io.get_executor(), del(client::Client(api), &done), "delete");
    REQUIRE(until([&] { return done; }));
  }
  bool event(const std::string& reason) {
    return until([&] {
      for (const auto& r : api->requests)
        if (r.find("/events") != std::string::npos) return true;
      return false;
    }) && !reason.empty();
  }

  TempDir dir{"nvvol"};
  boost::asio::io_context io;
  std::shared_ptr<testing::MemoryApi> api = std::make_shared<testing::MemoryApi>();
  Options options;
  podrunner::Options node;
  StopSource stop;
  int ended = 0;
  std::unique_ptr<VolumeController> controller;
};

}  // namespace

TEST_CASE("a shared claim is bound at once, and its volume goes with it") {
  World w(true);
  REQUIRE(w.until([&] { return w.api->get(res::kStorageClasses, "", "shared") != nullptr; }));
  w.api->put(res::kPersistentVolumeClaims, claim("shared", "ReadWriteMany"));
  REQUIRE(w.until([&] { return w.phase() == "Bound"; }));
  const std::string name = w.volume_of();
  const Json* pv = w.api->get(res::kPersistentVolumes, "", name);
  REQUIRE(pv);
  CHECK(string_at(*pv, {"spec", "local", "path"}) == w.dir.path().string() + "/volumes/" + name);
  CHECK(string_at(*w.api->get(res::kPersistentVolumeClaims, "default", "c"), {"status", "capacity", "storage"}) == "1Mi");
  REQUIRE(w.until([&] { return string_at(*w.api->get(res::kPersistentVolumes, "", name), {"status", "phase"}) == "Bound"; }));
  std::filesystem::create_directories(w.dir.path() / "volumes" / name);

  SECTION("deleted") {
    w.remove_claim();
    CHECK(w.until([&] { return w.phase() == "gone"; }));
    CHECK(w.until([&] { return w.api->get(res::kPersistentVolumes, "", name) == nullptr; }));
    CHECK_FALSE(std::filesystem::exists(w.dir.path() / "volumes" / name));
  }
  SECTION("deleted while a pod uses it") {
    Json pod = Json::parse(R"({"metadata":{"namespace":"default","name":"p"},"spec":{"volumes":[{"name":"v","persistentVolumeClaim":{"claimName":"c"}}]},"status":{"phase":"Running"}})");
    w.api->put(res::kPods, pod);
    for (int i = 0; i < 10; ++i) w.io.restart(), w.io.run_one_for(std::chrono::milliseconds(10));
    w.remove_claim();
    for (int i = 0; i < 30; ++i) w.io.restart(), w.io.run_one_for(std::chrono::milliseconds(10));
    CHECK(w.phase() == "Bound");
    CHECK(std::filesystem::exists(w.dir.path() / "volumes" / name));
    w.api->erase(res::kPods, "default", "p");
    CHECK(w.until([&] { return w.phase() == "gone"; }));
  }
  SECTION("kept by its reclaim policy") {
    Json keep = *w.api->get(res::kPersistentVolumes, "", name);
    keep["spec"]["persistentVolumeReclaimPolicy"] = "Retain";
    w.api->put(res::kPersistentVolumes, keep);
    w.remove_claim();
    CHECK(w.until([&] {
      const Json* v = w.api->get(res::kPersistentVolumes, "", name);
      return v && string_at(*v, {"status", "phase"}) == "Released";
    }));
    CHECK(std::filesystem::exists(w.dir.path() / "volumes" / name));
  }
  SECTION("expanded") {
    Json c = *w.api->get(res::kPersistentVolumeClaims, "default", "c");
    c["spec"]["resources"]["requests"]["storage"] = "2Mi";
    w.api->put(res::kPersistentVolumeClaims, c);
    CHECK(w.until([&] { return string_at(*w.api->get(res::kPersistentVolumes, "", name), {"spec", "capacity", "storage"}) == "2Mi"; }));
    CHECK(w.until([&] { return string_at(*w.api->get(res::kPersistentVolumeClaims, "default", "c"), {"status", "capacity", "storage"}) == "2Mi"; }));
  }
}

TEST_CASE("a claim of the default class waits for the scheduler's choice") {
  World w;
  REQUIRE(w.until([&] { return w.api->get(res::kStorageClasses, "", "local") && w.api->get(res::kStorageClasses, "", "shared"); }));
  w.api->put(res::kPersistentVolumeClaims, claim(""));
  REQUIRE(w.until([&] { return w.phase() == "Pending"; }));
  CHECK(w.event("WaitForFirstConsumer"));
  Json c = *w.api->get(res::kPersistentVolumeClaims, "default", "c");
  CHECK(string_at(c, {"spec", "storageClassName"}) == "local");
  CHECK(w.volume_of().empty());
  c["metadata"]["annotations"][std::string(kSelectedNodeAnnotation)] = "n1";
  w.api->put(res::kPersistentVolumeClaims, c);
  REQUIRE(w.until([&] { return w.phase() == "Bound"; }));
  const Json* pv = w.api->get(res::kPersistentVolumes, "", w.volume_of());
  REQUIRE(pv);
  CHECK(pv->dump().find(R"("key":"kubernetes.io/hostname","operator":"In","values":["n1"])") != std::string::npos);
}

TEST_CASE("a volume made by hand is bound to the claim that fits it best") {
  World w;
  for (const auto* size : {"1Gi", "10Mi", "512Ki"}) {
    Json pv = Json::parse(R"({"metadata":{},"spec":{"accessModes":["ReadWriteOnce"],"storageClassName":"manual","hostPath":{"path":"/x"},"persistentVolumeReclaimPolicy":"Retain"}})");
    pv["metadata"]["name"] = std::string("pv-") + char(std::tolower(size[0])) + std::to_string(std::string(size).size());
    pv["spec"]["capacity"]["storage"] = size;
    w.api->put(res::kPersistentVolumes, pv);
  }
  w.api->put(res::kPersistentVolumeClaims, claim("manual"));
  REQUIRE(w.until([&] { return w.phase() == "Bound"; }));
  CHECK(string_at(*w.api->get(res::kPersistentVolumes, "", w.volume_of()), {"spec", "capacity", "storage"}) == "10Mi");
}

TEST_CASE("what cannot be provisioned says why") {
  const auto classes = storage_classes();
  struct Case {
    std::string name, patch;
    std::size_t which;
    std::string want;
  };
  const Case cases[] = {
      {"fine", "{}", 0, ""},
      {"shared by many", R"({"spec":{"accessModes":["ReadWriteMany"]}})", 0, "use StorageClass shared"},
      {"shared by many, on shared", R"({"spec":{"accessModes":["ReadWriteMany"]}})", 1, ""},
      {"block", R"({"spec":{"volumeMode":"Block"}})", 1, "volumeMode Block"},
      {"a source", R"({"spec":{"dataSource":{"name":"x"}}})", 1, "dataSource"},
      {"no size", R"({"spec":{"resources":{"requests":{"storage":"0"}}}})", 1, "positive quantity"},
  };
  for (const auto& c : cases)
    DYNAMIC_SECTION(c.name) {
      Json object = claim("x");
      object.merge_patch(Json::parse(c.patch));
      const auto why = cannot_provision(object, classes[c.which]);
      if (c.want.empty()) CHECK_FALSE(why);
      else CHECK(why.value_or("").find(c.want) != std::string::npos);
    }
}
