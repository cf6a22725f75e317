// The patch of a status never wipes out what somebody else wrote meanwhile.
#include <catch2/catch.hpp>

#include "pkg/k8s/json_patch.hpp"
#include "virt-controller/status_patch.hpp"

using namespace nodevirt;
using namespace nodevirt::virt_controller;

TEST_CASE("a first status gives way to a request that came before it") {
  Json seen = {{"metadata", {{"uid", "u"}}}};
  Json patch = status_patch(seen, {{"created", false}});
  auto alone = k8s::apply_json_patch(seen, patch);
  REQUIRE(alone.ok());
  CHECK((*alone)["status"] == Json{{"created", false}});

  Json now = seen;
  now["status"]["stateChangeRequests"] = Json::array({{{"action", "Start"}}});
  CHECK_FALSE(k8s::apply_json_patch(now, patch).ok());
  CHECK_FALSE(status_patch(now, {{"created", false}}).empty());
}

TEST_CASE("what changed meanwhile is not overwritten") {
  Json seen = {{"metadata", {{"uid", "u"}}}, {"status", {{"a", 1}, {"b", 2}}}};
  Json patch = status_patch(seen, {{"a", 3}, {"b", 2}});
  Json now = seen;
  now["status"]["b"] = 5;
  auto kept = k8s::apply_json_patch(now, patch);
  REQUIRE(kept.ok());
  CHECK((*kept)["status"] == Json{{"a", 3}, {"b", 5}});
  now["status"]["a"] = 4;
  CHECK_FALSE(k8s::apply_json_patch(now, patch).ok());
}
