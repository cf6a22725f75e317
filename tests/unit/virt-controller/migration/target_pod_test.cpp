// Target pods, compared with tests/golden/target-pods/CASE.pod.json. NODEVIRT_REGENERATE=1 writes them anew.
#include <catch2/catch.hpp>

#include <filesystem>

#include "pkg/base/file.hpp"
#include "virt-controller/migration/target_pod.hpp"

using namespace nodevirt;
using namespace nodevirt::virt_controller;
using namespace nodevirt::virt_controller::migration;
namespace fs = std::filesystem;

namespace {

const fs::path kGolden = fs::path(NV_SOURCE_DIR) / "tests/golden/target-pods";

Result<Json> render(const Json& given) {
  auto view = api::decode_instance(given["instance"]);
  REQUIRE(view.ok());
  vmi::PodOptions options{"nodevirt/virt-launcher:test", 998, "/var/lib/nodevirt/qemu-capabilities", {}};
  k8s::Labels labels;
  for (const auto& [key, value] : given["sourceLabels"].items()) labels[key] = value.get<std::string>();
  return render_target_pod({given["instance"], *view, given["migration"], labels, "node1"}, options);
}

}  // namespace

TEST_CASE("why no other node's processor will do is said") {
  const Json selector = {{"cpu-feature.node.kubevirt.io/avx2", "true"}, {"cpu-model-migration.node.kubevirt.io/EPYC", "true"}, {"nodevirt.io/accelerator", "kvm"}};
  const k8s::Labels whole = {{"cpu-feature.node.kubevirt.io/avx2", "true"}, {"cpu-model-migration.node.kubevirt.io/EPYC", "true"}, {"nodevirt.io/accelerator", "kvm"}};
  k8s::Labels older = whole, other = whole;
  older.erase("cpu-feature.node.kubevirt.io/avx2");
  other["nodevirt.io/accelerator"] = "tcg";
  CHECK(processor_obstacle(selector, {{"a", whole}}).empty());
  CHECK(processor_obstacle(selector, {{"a", older}, {"b", whole}}).empty());
  CHECK(processor_obstacle(selector, {{"a", older}}) == "a lacks the CPU feature avx2");
  CHECK(processor_obstacle(selector, {{"a", other}, {"b", {}}}) == "a lacks the accelerator kvm; b lacks the CPU feature avx2 and 2 more");
  CHECK(processor_obstacle(selector, {}).empty());
}

TEST_CASE("target pods are as they should be") {
  int cases = 0;
  for (const auto& entry : fs::directory_iterator(kGolden)) {
    std::string file = entry.path().filename();
    if (!file.ends_with(".in.json")) continue;
    ++cases;
    DYNAMIC_SECTION(file) {
      auto given = parse_json(*read_file(entry.path()));
      REQUIRE(given.ok());
      auto pod = render(*given);
      REQUIRE(pod.ok());
      fs::path want = kGolden / (file.substr(0, file.size() - 8) + ".pod.json");
      std::string text = pod->dump(2) + "\n";
      if (std::getenv("NODEVIRT_REGENERATE")) REQUIRE(write_file_atomic(want, text).ok());
      auto golden = read_file(want);
      REQUIRE(golden.ok());
      CHECK(text == *golden);
    }
  }
  CHECK(cases >= 2);
}

TEST_CASE("the target's node has the source's processor and accelerator") {
  auto view = api::decode_instance(Json::parse(R"({"metadata":{"name":"v","uid":"u"},"spec":{"domain":{}}})"));
  REQUIRE(view.ok());
  k8s::Labels source = {{"nodevirt.io/accelerator", "tcg"}, {"cpu-vendor.node.kubevirt.io/Intel", "true"}, {"host-model-cpu.node.kubevirt.io/Skylake", "true"},
                        {"host-model-required-features.node.kubevirt.io/vmx", "true"}, {"cpu-vendor.node.kubevirt.io/AMD", "false"}, {"zone", "x"}};
  CHECK(target_selector(*view, source) == Json({{"nodevirt.io/accelerator", "tcg"}, {"cpu-vendor.node.kubevirt.io/Intel", "true"},
                                                {"cpu-model-migration.node.kubevirt.io/Skylake", "true"}, {"cpu-feature.node.kubevirt.io/vmx", "true"}}));
  view->spec.domain.cpu = api::Cpu{};
  view->spec.domain.cpu->model = "Penryn";
  CHECK_FALSE(target_selector(*view, source).contains("cpu-model-migration.node.kubevirt.io/Skylake"));
}

TEST_CASE("a migration's pod has its own name") {
  CHECK(target_pod_name("vm", "m1") == target_pod_name("vm", "m1"));
  CHECK(target_pod_name("vm", "m1") != target_pod_name("vm", "m2"));
}
