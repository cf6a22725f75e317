#include <catch2/catch.hpp>

#include "tests/conformance/cluster.hpp"

using namespace nodevirt;
using namespace nodevirt::conformance;

namespace {
const std::string kCrds = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
const std::string kWidgets = "/apis/example.com/v1/namespaces/default/widgets";

std::string condition(const Json& o, const std::string& type) {
  const Json* list = find(o, {"status", "conditions"});
  if (list)
    for (const auto& c : *list) if (string_at(c, {"type"}) == type) return string_at(c, {"status"});
  return "";
}
}  // namespace

TEST_CASE("a definition is served as soon as it is acknowledged") {
  Cluster c;
  auto made = c.post(kCrds, widget_definition());
  REQUIRE(made.status == 201);
  CHECK(condition(made.body, "Established") == "True");
  CHECK(condition(made.body, "NamesAccepted") == "True");
  CHECK(made.body["status"]["storedVersions"] == Json{"v1"});
  auto w = c.post(kWidgets, widget("a"));
  REQUIRE(w.status == 201);
  CHECK(int_at(w.body, {"spec", "size"}) == 3);
  CHECK(int_at(w.body, {"metadata", "generation"}) == 1);
  SECTION("also after a restart") {
    c.reopen();
    CHECK(c.get(kWidgets + "/a").status == 200);
  }
  SECTION("validation names the field") {
    auto bad = c.post(kWidgets, widget("b", {{"size", -1}, {"color", "green"}}));
    CHECK(bad.status == 422);
    CHECK(bad.body["details"]["causes"].size() == 2);
  }
  SECTION("status is apart") {
    auto r = c.merge(kWidgets + "/a", {{"spec", {{"size", 5}}}, {"status", {{"phase", "X"}}}});
    CHECK(int_at(r.body, {"metadata", "generation"}) == 2);
    CHECK(!r.body.contains("status"));
    auto s = c.merge(kWidgets + "/a/status", {{"spec", {{"size", 9}}}, {"status", {{"phase", "X"}}}});
    CHECK(int_at(s.body, {"spec", "size"}) == 5);
    CHECK(string_at(s.body, {"status", "phase"}) == "X");
    CHECK(int_at(s.body, {"metadata", "generation"}) == 2);
  }
  SECTION("scale") {
    auto r = c.merge(kWidgets + "/a/scale", {{"spec", {{"replicas", 7}}}});
    CHECK(string_at(r.body, {"kind"}) == "Scale");
    CHECK(int_at(c.get(kWidgets + "/a").body, {"spec", "replicas"}) == 7);
  }
  SECTION("strategic merge is refused") {
    CHECK(c.call("PATCH", kWidgets + "/a", Json::object(), {.type = "application/strategic-merge-patch+json"}).status == 415);
  }
  SECTION("printer columns") {
    auto t = c.call("GET", kWidgets, nullptr, {.accept = "application/json;as=Table;v=v1;g=meta.k8s.io"});
    CHECK(string_at(t.body["columnDefinitions"][1], {"name"}) == "Size");
  }
  SECTION("PUT needs a revision") {
    CHECK(c.put(kWidgets + "/a", widget("a")).status == 422);
  }
  SECTION("deleting the definition deletes its objects") {
    CHECK(c.remove(kCrds + "/widgets.example.com").status == 200);
    CHECK(c.until([&] { return c.get(kCrds + "/widgets.example.com").status == 404; }));
    CHECK(c.get(kWidgets).status == 404);
    REQUIRE(c.post(kCrds, widget_definition()).status == 201);
    CHECK(c.get(kWidgets).body["items"].empty());
  }
}

TEST_CASE("several versions without a webhook differ in their name only") {
  Cluster c;
  REQUIRE(c.post(kCrds, widget_definition(true)).status == 201);
  REQUIRE(c.post(kWidgets, widget("a")).status == 201);
  const std::string beta = "/apis/example.com/v1beta1/namespaces/default/widgets";
  CHECK(string_at(c.get(beta + "/a").body, {"apiVersion"}) == "example.com/v1beta1");
  Watch w(c, beta + "?watch=1");
  auto e = w.next();
  REQUIRE(e);
  CHECK(string_at(*e, {"object", "apiVersion"}) == "example.com/v1beta1");
  auto changed = c.merge(beta + "/a", {{"spec", {{"size", 8}}}});
  CHECK(string_at(changed.body, {"apiVersion"}) == "example.com/v1beta1");
  CHECK(int_at(c.get(kWidgets + "/a").body, {"spec", "size"}) == 8);
}

TEST_CASE("names that are taken are not accepted, and are once they are free") {
  Cluster c;
  REQUIRE(c.post(kCrds, widget_definition()).status == 201);
  auto other = widget_definition();
  other["metadata"]["name"] = "gadgets.example.com";
  other["spec"]["names"]["plural"] = "gadgets";
  other["spec"]["names"]["singular"] = "gadget";
  auto made = c.post(kCrds, other);
  CHECK(condition(made.body, "NamesAccepted") == "False");
  CHECK(c.get("/apis/example.com/v1/gadgets").status == 404);
  c.remove(kCrds + "/widgets.example.com");
  CHECK(c.until([&] { return condition(c.get(kCrds + "/gadgets.example.com").body, "Established") == "True"; }));
  CHECK(c.get("/apis/example.com/v1/gadgets").status == 200);
}

TEST_CASE("wrong definitions are refused with the field") {
  Cluster c;
  auto d = widget_definition();
  SECTION("name") { d["metadata"]["name"] = "x.example.com"; }
  SECTION("no storage version") { d["spec"]["versions"][0]["storage"] = false; }
  SECTION("a schema that is none") { d["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]["type"] = "thing"; }
  CHECK(c.post(kCrds, d).status == 422);
}
