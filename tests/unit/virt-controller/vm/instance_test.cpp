// The instance is the raw template, and what keeps it the same machine over restarts.
#include <catch2/catch.hpp>

#include "virt-controller/vm/instance.hpp"

using namespace nodevirt;
using namespace nodevirt::virt_controller::vm;

namespace {
Json machine() {
  return Json::parse(R"({
    "metadata": {"name": "vm", "namespace": "n", "uid": "60043358-4c58-11e8-8653-525500d15501", "generation": 7},
    "spec": {"running": true, "template": {
      "metadata": {"creationTimestamp": null, "labels": {"a": "b"}, "annotations": {"c": "d"}},
      "spec": {"domain": {"devices": {"interfaces": [{"name": "default", "masquerade": {}}, {"name": "x", "macAddress": "de:ad:00:00:be:ef"}]}},
               "fieldOfTomorrow": {"kept": [1, 2]}, "terminationGracePeriodSeconds": 0}}}})");
}
}  // namespace

TEST_CASE("nothing of the template is lost, whatever we know of it") {
  auto i = build_instance(machine(), false, {});
  REQUIRE(i.ok());
  CHECK((*i)["spec"]["fieldOfTomorrow"] == Json::parse(R"({"kept":[1,2]})"));
  CHECK((*i)["spec"]["terminationGracePeriodSeconds"] == 0);
  CHECK((*i)["metadata"]["labels"] == Json::parse(R"({"a":"b"})"));
  CHECK((*i)["metadata"]["annotations"] == Json::parse(R"({"c":"d","kubevirt.io/vm-generation":"7"})"));
  CHECK_FALSE((*i)["metadata"].contains("creationTimestamp"));
  CHECK((*i)["metadata"]["name"] == "vm");
  CHECK((*i)["metadata"]["finalizers"] == Json::parse(R"(["kubevirt.io/foregroundDeleteVirtualMachine"])"));
  const Json& owner = (*i)["metadata"]["ownerReferences"][0];
  CHECK(owner["kind"] == "VirtualMachine");
  CHECK(owner["controller"] == true);
  CHECK(owner["blockOwnerDeletion"] == true);
  CHECK((*i)["status"]["phase"] == "Pending");
  CHECK((*i)["status"]["virtualMachineRevisionName"] == "revision-start-vm-60043358-4c58-11e8-8653-525500d15501-7");
}

TEST_CASE("firmware uuid and MAC addresses are the same at every start, and differ between machines") {
  Json m = machine();
  auto first = build_instance(m, false, {});
  m["metadata"]["generation"] = 8;
  auto second = build_instance(m, false, *parse_time("2030-01-01T00:00:00Z"));
  REQUIRE((first.ok() && second.ok()));
  auto uuid = [](const Json& i) { return string_at(i, {"spec", "domain", "firmware", "uuid"}); };
  auto mac = [](const Json& i, int n) { return i["spec"]["domain"]["devices"]["interfaces"][static_cast<std::size_t>(n)]["macAddress"].get<std::string>(); };
  CHECK(uuid(*first).size() == 36);
  CHECK(uuid(*first) == uuid(*second));
  CHECK(mac(*first, 0) == mac(*second, 0));
  CHECK(mac(*first, 0).substr(0, 3) == "02:");
  CHECK(mac(*first, 0).size() == 17);
  CHECK(mac(*first, 1) == "de:ad:00:00:be:ef");
  CHECK(stable_mac("u", "a") != stable_mac("u", "b"));
  CHECK(stable_mac("u", "a") != stable_mac("v", "a"));
  m["metadata"]["uid"] = "another";
  auto other = build_instance(m, false, {});
  REQUIRE(other.ok());
  CHECK(uuid(*other) != uuid(*first));
}

TEST_CASE("a uuid of the template wins") {
  Json m = machine();
  m["spec"]["template"]["spec"]["domain"]["firmware"] = {{"uuid", "11111111-2222-3333-4444-555555555555"}, {"serial", "s"}};
  auto i = build_instance(m, false, {});
  REQUIRE(i.ok());
  CHECK((*i)["spec"]["domain"]["firmware"]["uuid"] == "11111111-2222-3333-4444-555555555555");
  CHECK((*i)["spec"]["domain"]["firmware"]["serial"] == "s");
}

TEST_CASE("the default interface has its address from the start") {
  Json m = machine();
  m["spec"]["template"]["spec"]["domain"]["devices"].erase("interfaces");
  auto i = build_instance(m, false, {});
  REQUIRE(i.ok());
  const Json& devices = (*i)["spec"]["domain"]["devices"];
  REQUIRE(devices["interfaces"].size() == 1);
  CHECK(devices["interfaces"][0]["masquerade"] == Json::object());
  CHECK(devices["interfaces"][0]["macAddress"] == stable_mac("60043358-4c58-11e8-8653-525500d15501", "default"));
  CHECK((*i)["spec"]["networks"] == Json::parse(R"([{"name":"default","pod":{}}])"));
  SECTION("unless none is wanted") {
    m["spec"]["template"]["spec"]["domain"]["devices"]["autoattachPodInterface"] = false;
    auto none = build_instance(m, false, {});
    REQUIRE(none.ok());
    CHECK_FALSE((*none)["spec"]["domain"]["devices"].contains("interfaces"));
  }
}

TEST_CASE("a machine that is started paused") {
  auto i = build_instance(machine(), true, {});
  REQUIRE(i.ok());
  CHECK((*i)["spec"]["startStrategy"] == "Paused");
}

TEST_CASE("odd templates are errors or are repaired, never a crash") {
  CHECK_FALSE(build_instance(Json::object(), false, {}).ok());
  CHECK_FALSE(build_instance(Json::parse(R"({"spec":{"template":{"spec":7}}})"), false, {}).ok());
  CHECK(build_instance(Json::parse(R"({"spec":{"template":{"spec":{"domain":7,"networks":"x"}}}})"), false, {}).ok());
  CHECK(build_instance(Json::parse(R"({"spec":{"template":{"spec":{"domain":{"devices":{"interfaces":[1,{}]}}}}}})"), false, {}).ok());
}

TEST_CASE("the revision holds the whole spec") {
  Json r = build_revision(machine());
  CHECK(r["kind"] == "ControllerRevision");
  CHECK(r["metadata"]["name"] == "revision-start-vm-60043358-4c58-11e8-8653-525500d15501-7");
  CHECK(r["data"]["spec"] == machine()["spec"]);
  CHECK(r["revision"] == 7);
}
