// libvirt's words about the processor become labels.
#include <catch2/catch.hpp>

#include "pkg/base/file.hpp"
#include "pkg/k8s/merge_patch.hpp"
#include "virt-handler/node/cpu_labels.hpp"
#include "virt-handler/node/publisher.hpp"

using namespace nodevirt;
using namespace nodevirt::virt_handler;

namespace {

constexpr const char* kCapabilities = R"(<domainCapabilities>
  <path>/usr/bin/qemu-system-x86_64</path>
  <cpu>
    <mode name='host-passthrough' supported='no'/>
    <mode name='host-model' supported='yes'>
      <model fallback='forbid'>Skylake-Client-IBRS</model>
      <vendor>Intel</vendor>
      <feature policy='require' name='ss'/>
      <feature policy='require' name='not a label'/>
      <feature policy='disable' name='mpx'/>
    </mode>
    <mode name='custom' supported='yes'>
      <model usable='yes' vendor='Intel'>Penryn</model>
      <model usable='no' vendor='Intel'>Cascadelake-Server</model>
    </mode>
  </cpu>
</domainCapabilities>)";
constexpr const char* kExpanded = R"(<cpu mode='custom' match='exact'>
  <model fallback='forbid'>Skylake-Client-IBRS</model>
  <feature policy='require' name='avx2'/>
  <feature policy='disable' name='mpx'/>
</cpu>)";

}  // namespace

TEST_CASE("models that run here, the host's own, and what may be asked for") {
  auto labels = cpu_labels(kCapabilities, kExpanded);
  REQUIRE(labels.ok());
  CHECK(*labels == std::set<std::string>{"cpu-model.node.kubevirt.io/Penryn", "cpu-model-migration.node.kubevirt.io/Penryn",
                                         "cpu-model-migration.node.kubevirt.io/Skylake-Client-IBRS", "host-model-cpu.node.kubevirt.io/Skylake-Client-IBRS",
                                         "host-model-required-features.node.kubevirt.io/ss", "cpu-feature.node.kubevirt.io/ss", "cpu-feature.node.kubevirt.io/avx2"});
  CHECK_FALSE(cpu_labels("<cpu/>", "").ok());
  CHECK_FALSE(cpu_labels("no XML", "").ok());
  CHECK(cpu_labels(kCapabilities, "").ok());
}

TEST_CASE("they are kept between starts") {
  TempDir dir("nodevirt-cpu-labels");
  CHECK_FALSE(cpu_labels_kept(dir.path()));
  auto labels = *cpu_labels(kCapabilities, kExpanded);
  REQUIRE(keep_cpu_labels(dir.path(), labels).ok());
  CHECK(cpu_labels_kept(dir.path()));
  CHECK(read_cpu_labels(dir.path()) == labels);
  REQUIRE(write_file_atomic(dir.path() / "cpu-labels.json", R"(["kubevirt.io/schedulable", 7])").ok());
  CHECK(read_cpu_labels(dir.path()).empty());
}

TEST_CASE("a node says what is true now, and nothing that was true once") {
  NodeFacts facts{.schedulable = true, .cpu_vendor = "GenuineIntel", .cpu_labels = *cpu_labels(kCapabilities, kExpanded)};
  Json node{{"metadata", {{"labels", {{"cpu-feature.node.kubevirt.io/gone", "true"}, {"own", "label"}}}}}};
  CHECK(node_lacks(node, facts));
  Json done = k8s::apply_merge_patch(node, node_metadata_patch(facts, {}, node));
  CHECK_FALSE(done["metadata"]["labels"].contains("cpu-feature.node.kubevirt.io/gone"));
  CHECK(done["metadata"]["labels"]["cpu-feature.node.kubevirt.io/avx2"] == "true");
  CHECK(done["metadata"]["labels"]["own"] == "label");
  facts.cpu_labels.clear();  // not known: nothing is concluded
  CHECK(k8s::apply_merge_patch(done, node_metadata_patch(facts, {}, done))["metadata"]["labels"].contains("cpu-feature.node.kubevirt.io/avx2"));
}
