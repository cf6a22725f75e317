// Launcher pods, compared with tests/golden/pods/CASE.json. NODEVIRT_REGENERATE=1 writes them anew.
#include <catch2/catch.hpp>

#include <filesystem>

#include "pkg/base/file.hpp"
#include "virt-controller/vmi/overhead.hpp"
#include "virt-controller/vmi/pod.hpp"

using namespace nodevirt;
using namespace nodevirt::virt_controller::vmi;
namespace fs = std::filesystem;

namespace {

const fs::path kFolder = fs::path(NV_SOURCE_DIR) / "tests/golden/pods";

Result<Json> render(const std::string& instance) {
  auto object = parse_json(instance);
  REQUIRE(object.ok());
  auto vmi = api::decode_instance(*object);
  REQUIRE(vmi.ok());
  PodOptions options{"nodevirt/virt-launcher:test", 998, "/var/lib/nodevirt/qemu-capabilities", {"block"}};
  return render_pod(*object, *vmi, options);
}

}  // namespace

TEST_CASE("launcher pods are as they should be") {
  int cases = 0;
  for (const auto& entry : fs::directory_iterator(kFolder)) {
    std::string file = entry.path().filename();
    if (!file.ends_with(".vmi.json")) continue;
    ++cases;
    DYNAMIC_SECTION(file) {
      auto pod = render(*read_file(entry.path()));
      REQUIRE(pod.ok());
      fs::path want = kFolder / (file.substr(0, file.size() - 9) + ".pod.json");
      std::string text = pod->dump(2) + "\n";
      if (std::getenv("NODEVIRT_REGENERATE")) REQUIRE(write_file_atomic(want, text).ok());
      auto golden = read_file(want);
      REQUIRE(golden.ok());
      CHECK(text == *golden);
    }
  }
  CHECK(cases >= 4);
  for (const auto& entry : fs::directory_iterator(kFolder)) {
    std::string file = entry.path().filename();
    if (!file.ends_with(".pod.json")) continue;
    CAPTURE(file);
    CHECK(fs::exists(kFolder / (file.substr(0, file.size() - 9) + ".vmi.json")));
  }
}

TEST_CASE("a volume that no pod can carry is refused by its name") {
  auto pod = render(R"({"metadata":{"name":"v","uid":"u"},"spec":{"domain":{},"volumes":[{"name":"x","downwardMetrics":{}}]}})");
  REQUIRE_FALSE(pod.ok());
  CHECK_THAT(pod.error().message, Catch::Contains("\"x\""));
}

TEST_CASE("the pod's name depends on the instance's uid alone") {
  CHECK(pod_name("vm", "u1") == pod_name("vm", "u1"));
  CHECK(pod_name("vm", "u1") != pod_name("vm", "u2"));
  CHECK(pod_name("vm", "u1").size() == std::string("virt-launcher-vm-").size() + 5);
  CHECK(pod_name(std::string(253, 'a'), "u").size() <= 253);
}

TEST_CASE("long names fit into labels and stay apart") {
  std::string a(63, 'x'), b = std::string(70, 'x') + "1", c = std::string(70, 'x') + "2";
  CHECK(label_value(a) == a);
  CHECK(label_value(b).size() <= 63);
  CHECK(label_value(b) != label_value(c));
}

TEST_CASE("memory overhead") {
  auto spec = api::decode_instance_spec(Json::parse(R"({"domain":{"memory":{"guest":"1Gi"},"cpu":{"cores":2},"devices":{"autoattachGraphicsDevice":false}}})"));
  REQUIRE(spec.ok());
  CHECK(memory_overhead(spec->domain) == (48 + 50 + 2 * 8 + 2) * (std::int64_t(1) << 20));
}
