// What a node says of itself, and when it has to be said again.
#include <catch2/catch.hpp>

#include "pkg/k8s/merge_patch.hpp"
#include "virt-handler/node/publisher.hpp"

using namespace nodevirt;
using namespace nodevirt::virt_handler;

TEST_CASE("the node's labels, heartbeat and devices") {
  NodeFacts facts{.schedulable = true, .kvm = false, .address = "10.1.1.1:8186", .cpu_vendor = "GenuineIntel"};
  Json node{{"metadata", {{"name", "n"}, {"labels", {{"own", "label"}}}}}, {"status", {{"capacity", {{"cpu", "2"}}}}}};
  CHECK(node_lacks(node, facts));
  Json done = k8s::apply_merge_patch(k8s::apply_merge_patch(node, node_metadata_patch(facts, *parse_time("2026-01-01T00:00:00Z"))), node_status_patch());
  CHECK_FALSE(node_lacks(done, facts));
  CHECK(done["metadata"]["labels"]["kubevirt.io/schedulable"] == "true");
  CHECK(done["metadata"]["labels"]["nodevirt.io/accelerator"] == "tcg");
  CHECK(done["metadata"]["labels"]["own"] == "label");
  CHECK(done["metadata"]["annotations"]["kubevirt.io/heartbeat"] == "2026-01-01T00:00:00Z");
  CHECK(done["metadata"]["annotations"]["nodevirt.io/virt-handler-address"] == "10.1.1.1:8186");
  CHECK(done["status"]["allocatable"]["devices.kubevirt.io/kvm"] == "1000");
  CHECK(done["status"]["capacity"]["cpu"] == "2");

  SECTION("devices that somebody took away are offered again") {
    done["status"]["allocatable"].erase("devices.kubevirt.io/tun");
    CHECK(node_lacks(done, facts));
  }
  SECTION("a changed fact is told") {
    facts.kvm = true;
    CHECK(node_lacks(done, facts));
  }
  SECTION("an accelerator that is not known yet is not guessed") {
    facts.kvm.reset();
    CHECK_FALSE(node_metadata_patch(facts, {})["metadata"]["labels"].contains("nodevirt.io/accelerator"));
  }
}
