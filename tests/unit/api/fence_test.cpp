// What instances and Leases say of fences.
#include <catch2/catch.hpp>

#include "api/fence.hpp"

using namespace nodevirt::api;

TEST_CASE("who asks for a fence") {
  CHECK_FALSE(fence_seconds({}));
  CHECK(fence_seconds({{"nodevirt.io/fence-seconds", "30"}}) == 30);
  for (const char* wrong : {"", "4", "3601", "x", "30s", "-30", "99999999999999999999"})
    CHECK_FALSE(fence_seconds({{"nodevirt.io/fence-seconds", wrong}}));
}

TEST_CASE("entries of a Lease") {
  std::map<std::string, std::string> annotations = {
      {"a", "30"}, {"fence.nodevirt.io/u1", "30"}, {"fence.nodevirt.io/u2", "5"}, {"fence.nodevirt.io/bad", "now"}, {"fence.nodevirt.ioz", "30"}};
  CHECK(fence_entries(annotations) == std::map<std::string, std::int64_t>{{"u1", 30}, {"u2", 5}});
}

TEST_CASE("a node and its Lease") {
  CHECK(fence_lease_name("node1") == "virt-handler-node1");
  CHECK(fence_lease_node("virt-handler-node1") == "node1");
  CHECK(fence_lease_node("virt-controller").empty());
}
