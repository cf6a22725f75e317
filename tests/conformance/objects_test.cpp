#include <catch2/catch.hpp>

#include "tests/conformance/cluster.hpp"

using namespace nodevirt;
using namespace nodevirt::conformance;

namespace {
const std::string kMaps = "/api/v1/namespaces/default/configmaps";
}

TEST_CASE("an object is created, read, replaced and deleted") {
  Cluster c;
  auto made = c.post(kMaps, config_map("a", {{"k", "1"}}));
  REQUIRE(made.status == 201);
  CHECK(!string_at(made.body, {"metadata", "uid"}).empty());
  CHECK(!string_at(made.body, {"metadata", "creationTimestamp"}).empty());
  CHECK(c.post(kMaps, config_map("a")).reason() == "AlreadyExists");
  auto read = c.get(kMaps + "/a");
  CHECK(read.body == made.body);
  Json changed = read.body;
  changed["data"]["k"] = "2";
  auto replaced = c.put(kMaps + "/a", changed);
  REQUIRE(replaced.status == 200);
  CHECK(replaced.rv() != made.rv());
  SECTION("a stale revision is a conflict") {
    auto stale = c.put(kMaps + "/a", changed);
    CHECK(stale.status == 409);
    CHECK(stale.reason() == "Conflict");
  }
  SECTION("writing what is there already is no write") {
    auto again = c.put(kMaps + "/a", replaced.body);
    CHECK(again.rv() == replaced.rv());
  }
  SECTION("deleted with a precondition") {
    auto wrong = c.remove(kMaps + "/a", {{"preconditions", {{"uid", "00000000-0000-0000-0000-000000000000"}}}});
    CHECK(wrong.status == 409);
    CHECK(c.remove(kMaps + "/a").status == 200);
    auto gone = c.get(kMaps + "/a");
    CHECK(gone.status == 404);
    CHECK(gone.message() == "configmaps \"a\" not found");
  }
}

TEST_CASE("names are made from generateName, and wrong ones are refused") {
  Cluster c;
  auto made = c.post(kMaps, {{"apiVersion", "v1"}, {"kind", "ConfigMap"}, {"metadata", {{"generateName", "a-"}}}});
  REQUIRE(made.status == 201);
  auto name = string_at(made.body, {"metadata", "name"});
  CHECK(name.size() == 7);
  CHECK(c.post(kMaps, config_map("Bad_Name")).status == 422);
  CHECK(c.post(kMaps, {{"apiVersion", "v1"}, {"kind", "ConfigMap"}}).status == 422);
  CHECK(c.post("/api/v1/namespaces/none/configmaps", config_map("x")).message() == "namespaces \"none\" not found");
  CHECK(c.post(kMaps, {{"apiVersion", "v1"}, {"kind", "Secret"}, {"metadata", {{"name", "x"}}}}).status == 400);
  CHECK(c.call_text("POST", kMaps, "{not json").status == 400);
}

TEST_CASE("fields that do not exist are refused, warned of or ignored") {
  Cluster c;
  Json odd = config_map("a");
  odd["nonsense"] = 1;
  auto strict = c.post(kMaps + "?fieldValidation=Strict", odd);
  CHECK(strict.status == 400);
  CHECK(strict.message().find("unknown field \"nonsense\"") != std::string::npos);
  auto warned = c.post(kMaps + "?fieldValidation=Warn", odd);
  CHECK(warned.status == 201);
  CHECK(warned.headers.get("Warning").find("nonsense") != std::string_view::npos);
  CHECK(!warned.body.contains("nonsense"));
  auto twice = c.call_text("POST", kMaps + "?fieldValidation=Strict",
                           R"({"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"b"},"data":{"k":"1","k":"2"}})");
  CHECK(twice.message().find("duplicate field \"data.k\"") != std::string::npos);
}

TEST_CASE("dry run changes nothing") {
  Cluster c;
  CHECK(c.post(kMaps + "?dryRun=All", config_map("a")).status == 201);
  CHECK(c.get(kMaps + "/a").status == 404);
  CHECK(c.post(kMaps + "?dryRun=Some", config_map("a")).status == 422);
}

TEST_CASE("patches") {
  Cluster c;
  REQUIRE(c.post(kMaps, config_map("a", {{"k", "1"}, {"l", "2"}})).status == 201);
  SECTION("merge") {
    auto r = c.merge(kMaps + "/a", {{"data", {{"k", nullptr}, {"m", "3"}}}});
    REQUIRE(r.status == 200);
    CHECK(r.body["data"] == Json{{"l", "2"}, {"m", "3"}});
  }
  SECTION("JSON") {
    auto r = c.call("PATCH", kMaps + "/a", Json::array({{{"op", "replace"}, {"path", "/data/k"}, {"value", "9"}}}), {.type = "application/json-patch+json"});
    CHECK(string_at(r.body, {"data", "k"}) == "9");
    auto failed = c.call("PATCH", kMaps + "/a", Json::array({{{"op", "test"}, {"path", "/data/k"}, {"value", "1"}}}), {.type = "application/json-patch+json"});
    CHECK(failed.status == 422);
  }
  SECTION("with a revision that is stale") {
    CHECK(c.merge(kMaps + "/a", {{"metadata", {{"resourceVersion", "1"}}}}).status == 409);
  }
  SECTION("server-side apply, its conflicts and force") {
    Ask apply{.type = "application/apply-patch+yaml"};
    Json mine{{"apiVersion", "v1"}, {"kind", "ConfigMap"}, {"metadata", {{"name", "b"}}}, {"data", {{"k", "1"}}}};
    CHECK(c.call("PATCH", kMaps + "/b?fieldManager=one", mine, apply).status == 201);
    mine["data"]["k"] = "2";
    auto refused = c.call("PATCH", kMaps + "/b?fieldManager=two", mine, apply);
    CHECK(refused.status == 409);
    CHECK(string_at(refused.body["details"]["causes"][0], {"reason"}) == "FieldManagerConflict");
    auto forced = c.call("PATCH", kMaps + "/b?fieldManager=two&force=true", mine, apply);
    CHECK(forced.status == 200);
    CHECK(string_at(forced.body, {"data", "k"}) == "2");
    CHECK(c.call("PATCH", kMaps + "/b", mine, apply).status == 422);
  }
  CHECK(c.call("PATCH", kMaps + "/a", Json::object(), {.type = "text/plain"}).status == 415);
}

TEST_CASE("lists: selectors, pages, forms") {
  Cluster c;
  for (int i = 0; i < 5; ++i) {
    auto o = config_map("cm-" + std::to_string(i));
    o["metadata"]["labels"]["parity"] = i % 2 ? "odd" : "even";
    REQUIRE(c.post(kMaps, o).status == 201);
  }
  CHECK(c.get(kMaps + "?labelSelector=parity%3Dodd").body["items"].size() == 2);
  CHECK(c.get(kMaps + "?fieldSelector=metadata.name%3Dcm-3").body["items"].size() == 1);
  CHECK(c.get(kMaps + "?fieldSelector=data.x%3D1").status == 400);
  auto page = c.get(kMaps + "?limit=2&labelSelector=parity");
  CHECK(page.body["items"].size() == 2);
  auto token = string_at(page.body, {"metadata", "continue"});
  REQUIRE(!token.empty());
  auto next = c.get(kMaps + "?limit=10&labelSelector=parity&continue=" + net::percent_encode(token));
  CHECK(next.body["items"].size() == 3);
  CHECK(next.rv() == page.rv());
  auto table = c.call("GET", kMaps, nullptr, {.accept = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json"});
  CHECK(string_at(table.body, {"kind"}) == "Table");
  CHECK(table.body["rows"].size() >= 5);
  auto meta = c.call("GET", kMaps, nullptr, {.accept = "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io"});
  CHECK(string_at(meta.body, {"kind"}) == "PartialObjectMetadataList");
  CHECK(!meta.body["items"][0].contains("data"));
  CHECK(c.call("GET", kMaps, nullptr, {.accept = "application/vnd.kubernetes.protobuf"}).status == 406);
  CHECK(c.call("DELETE", kMaps + "?labelSelector=parity%3Dodd").status == 200);
  CHECK(c.get(kMaps + "?labelSelector=parity").body["items"].size() == 3);
}

TEST_CASE("finalizers hold a deleted object until they are gone") {
  Cluster c;
  auto o = config_map("a");
  o["metadata"]["finalizers"] = {"example.com/hold"};
  REQUIRE(c.post(kMaps, o).status == 201);
  auto deleting = c.remove(kMaps + "/a");
  CHECK(!string_at(deleting.body, {"metadata", "deletionTimestamp"}).empty());
  CHECK(c.get(kMaps + "/a").status == 200);
  CHECK(c.merge(kMaps + "/a", {{"metadata", {{"finalizers", {"example.com/hold", "example.com/more"}}}}}).status == 422);
  CHECK(c.merge(kMaps + "/a", {{"metadata", {{"finalizers", nullptr}}}}).status == 200);
  CHECK(c.get(kMaps + "/a").status == 404);
}

TEST_CASE("what was acknowledged is there after the server starts again") {
  Cluster c;
  auto made = c.post(kMaps, config_map("a", {{"k", "v"}}));
  c.reopen();
  auto read = c.get(kMaps + "/a");
  CHECK(read.body == made.body);
  auto next = c.post(kMaps, config_map("b"));
  CHECK(std::stoll(next.rv()) > std::stoll(made.rv()));
}

TEST_CASE("secrets: stringData, immutability") {
  Cluster c;
  const std::string secrets = "/api/v1/namespaces/default/secrets";
  auto made = c.post(secrets, {{"apiVersion", "v1"}, {"kind", "Secret"}, {"metadata", {{"name", "s"}}}, {"stringData", {{"p", "word"}}}, {"immutable", true}});
  REQUIRE(made.status == 201);
  CHECK(string_at(made.body, {"data", "p"}) == "d29yZA==");
  CHECK(string_at(made.body, {"type"}) == "Opaque");
  CHECK(!made.body.contains("stringData"));
  CHECK(c.merge(secrets + "/s", {{"data", {{"p", "eA=="}}}}).status == 422);
}

TEST_CASE("discovery") {
  Cluster c;
  CHECK(c.get("/version").status == 200);
  CHECK(c.get("/healthz").text == "ok");
  CHECK(c.get("/api").body["versions"] == Json{"v1"});
  bool found = false;
  auto core = c.get("/api/v1");
  for (const auto& r : core.body["resources"]) found |= string_at(r, {"name"}) == "pods/eviction" && string_at(r, {"group"}) == "policy";
  CHECK(found);
  for (const char* v : {"v2", "v2beta1"}) {
    auto r = c.call("GET", "/apis", nullptr, {.accept = std::string("application/json;g=apidiscovery.k8s.io;v=") + v + ";as=APIGroupDiscoveryList,application/json"});
    CHECK(string_at(r.body, {"kind"}) == "APIGroupDiscoveryList");
    CHECK(string_at(r.body, {"apiVersion"}) == std::string("apidiscovery.k8s.io/") + v);
  }
  CHECK(c.get("/apis/none.example.com/v1/things").status == 404);
}
