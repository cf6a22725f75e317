#include <catch2/catch.hpp>

#include "tests/conformance/cluster.hpp"

using namespace nodevirt;
using namespace nodevirt::conformance;

namespace {
const std::string kMaps = "/api/v1/namespaces/default/configmaps";

std::string type_of(const std::optional<Json>& e) { return e ? string_at(*e, {"type"}) : "nothing"; }
std::string name_of(const std::optional<Json>& e) { return e ? string_at(*e, {"object", "metadata", "name"}) : ""; }
}  // namespace

TEST_CASE("a watch tells every change once, in order, from its revision on") {
  Cluster c({}, false);
  auto a = c.post(kMaps, config_map("a"));
  c.merge(kMaps + "/a", {{"data", {{"k", "1"}}}});
  c.remove(kMaps + "/a");
  c.post(kMaps, config_map("b"));
  Watch w(c, kMaps + "?watch=1&resourceVersion=" + a.rv());
  REQUIRE(w.status() == 200);
  auto e1 = w.next(), e2 = w.next(), e3 = w.next();
  CHECK(type_of(e1) == "MODIFIED");
  CHECK(type_of(e2) == "DELETED");
  CHECK(std::stoll(string_at(*e2, {"object", "metadata", "resourceVersion"})) > std::stoll(string_at(*e1, {"object", "metadata", "resourceVersion"})));
  CHECK(type_of(e3) == "ADDED");
  CHECK(name_of(e3) == "b");
  c.post(kMaps, config_map("live"));
  CHECK(name_of(w.next()) == "live");
  CHECK(!w.next());
}

TEST_CASE("a watch without a revision starts with what there is") {
  Cluster c({}, false);
  c.post(kMaps, config_map("a"));
  Watch w(c, kMaps + "?watch=true");
  CHECK(name_of(w.next()) == "a");
}

TEST_CASE("entering and leaving a selector are ADDED and DELETED") {
  Cluster c({}, false);
  auto a = c.post(kMaps, config_map("a"));
  Watch w(c, kMaps + "?watch=1&labelSelector=x&resourceVersion=" + a.rv());
  c.merge(kMaps + "/a", {{"metadata", {{"labels", {{"x", "1"}}}}}});
  CHECK(type_of(w.next()) == "ADDED");
  c.merge(kMaps + "/a", {{"data", {{"k", "1"}}}});
  CHECK(type_of(w.next()) == "MODIFIED");
  c.merge(kMaps + "/a", {{"metadata", {{"labels", nullptr}}}});
  CHECK(type_of(w.next()) == "DELETED");
  c.remove(kMaps + "/a");
  CHECK(!w.next());
}

TEST_CASE("a revision before the history's start is Expired") {
  Cluster c({}, false);
  c.post(kMaps, config_map("a"));
  c.reopen();
  Watch w(c, kMaps + "?watch=1&resourceVersion=1");
  auto e = w.next();
  CHECK(type_of(e) == "ERROR");
  CHECK(int_at(*e, {"object", "code"}) == 410);
  CHECK(string_at(*e, {"object", "reason"}) == "Expired");
}

TEST_CASE("the history is bounded, and says so") {
  Cluster c([](apiserver::Options& o) { o.history.max_events = 4; }, false);
  auto a = c.post(kMaps, config_map("a"));
  for (int i = 0; i < 6; ++i) c.merge(kMaps + "/a", {{"data", {{"k", std::to_string(i)}}}});
  Watch w(c, kMaps + "?watch=1&resourceVersion=" + a.rv());
  CHECK(type_of(w.next()) == "ERROR");
}

TEST_CASE("a streamed list ends with its bookmark") {
  Cluster c({}, false);
  c.post(kMaps, config_map("a"));
  Watch w(c, kMaps + "?watch=1&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true");
  CHECK(type_of(w.next()) == "ADDED");
  auto mark = w.next();
  CHECK(type_of(mark) == "BOOKMARK");
  CHECK(string_at(*mark, {"object", "metadata", "annotations", "k8s.io/initial-events-end"}) == "true");
  Watch bad(c, kMaps + "?watch=1&sendInitialEvents=true");
  CHECK(bad.status() == 422);
}

TEST_CASE("a watch of Tables names the columns once") {
  Cluster c({}, false);
  Watch w(c, kMaps + "?watch=1", "application/json;as=Table;v=v1;g=meta.k8s.io");
  c.post(kMaps, config_map("a"));
  c.post(kMaps, config_map("b"));
  auto e1 = w.next(), e2 = w.next();
  REQUIRE(e1);
  REQUIRE(e2);
  CHECK(!(*e1)["object"]["columnDefinitions"].empty());
  CHECK((!(*e2)["object"].contains("columnDefinitions") || (*e2)["object"]["columnDefinitions"].empty() || (*e2)["object"]["columnDefinitions"].is_null()));
}

TEST_CASE("a revision of the future is refused") {
  Cluster c({}, false);
  CHECK(c.get(kMaps + "?resourceVersion=999999").status == 504);
  Watch w(c, kMaps + "?watch=1&resourceVersion=999999");
  CHECK(w.status() == 504);
}
