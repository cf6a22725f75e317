// The JSONPath subset of printer columns.
#include <catch2/catch.hpp>

#include "standalone/schema/jsonpath.hpp"

using namespace nodevirt;
using namespace nodevirt::schema;

TEST_CASE("JSONPath finds") {
  const Json o = *parse_json(R"({"metadata":{"name":"n","annotations":{"a.b/c":"x"}},
    "status":{"phase":"Running","conditions":[{"type":"Ready","status":"True","n":1},{"type":"Live","status":"False","n":2}],
              "interfaces":[{"ipAddress":"10.0.0.1"},{"ipAddress":"10.0.0.2"}]},"l":[0,1,2,3,4]})");
  struct Case { const char* path; const char* want; };
  const Case cases[] = {
      {".metadata.name", R"(["n"])"}, {"{.metadata.name}", R"(["n"])"}, {"$.metadata.name", R"(["n"])"}, {"metadata.name", R"(["n"])"},
      {".metadata.annotations['a.b/c']", R"(["x"])"}, {".metadata.annotations.a\\.b/c", R"(["x"])"}, {".metadata[\"name\"]", R"(["n"])"},
      {".status.conditions[?(@.type=='Ready')].status", R"(["True"])"}, {".status.conditions[?(@.type==\"Live\")].status", R"(["False"])"},
      {".status.conditions[?(@.type == 'None')].status", "[]"}, {".status.conditions[?(@.n>1)].type", R"(["Live"])"},
      {".status.conditions[?(@.n!=1)].type", R"(["Live"])"}, {".status.conditions[?(@.missing)]", "[]"}, {".status.conditions[?(@.n)].n", "[1,2]"},
      {".status.interfaces[0].ipAddress", R"(["10.0.0.1"])"}, {".status.interfaces[-1].ipAddress", R"(["10.0.0.2"])"},
      {".status.interfaces[*].ipAddress", R"(["10.0.0.1","10.0.0.2"])"}, {".status.interfaces[7]", "[]"},
      {".l[1:3]", "[1,2]"}, {".l[::2]", "[0,2,4]"}, {".l[-2:]", "[3,4]"}, {".l[0,4]", "[0,4]"}, {"..ipAddress", R"(["10.0.0.1","10.0.0.2"])"},
      {".nothing.at.all", "[]"}, {".status.phase.deeper", "[]"}, {".metadata['name','none']", R"(["n"])"}, {"", nullptr},
  };
  for (const auto& c : cases) DYNAMIC_SECTION(c.path) {
    auto p = JsonPath::compile(c.path);
    INFO((p.ok() ? std::string() : p.error().message));
    REQUIRE(p.ok());
    Json got = Json::array();
    for (const Json* v : p->evaluate(o)) got.push_back(*v);
    if (c.want) CHECK(got == *parse_json(c.want));
    else CHECK(got.size() == 1);
  }
}

TEST_CASE("JSONPath refuses what it does not understand") {
  for (const char* bad : {".a[", ".a[?(@.b==]", ".a]", ".a[x]", "{.a", ".a[1:2:0]", ".a['x]", ".a[?(@.b=='c')", ".a b", ".a[?(@.b~'c')]"})
    DYNAMIC_SECTION(bad) CHECK_FALSE(JsonPath::compile(bad).ok());
  CHECK_FALSE(JsonPath::compile(std::string(5000, '.')).ok());
}

TEST_CASE("JSONPath is bounded") {
  Json wide = Json::array();
  for (int i = 0; i < 50000; ++i) wide.push_back(i);
  Json o = Json::object({{"a", wide}});
  CHECK(JsonPath::compile(".a[*]")->evaluate(o).size() == JsonPath::kMaxResults);
  Json deep = 1;
  for (int i = 0; i < 1000; ++i) deep = Json::object({{"a", std::move(deep)}});
  JsonPath::compile("..a..a..a")->evaluate(deep);
  CHECK(JsonPath::compile(".a.b['c']")->simple_fields() == std::vector<std::string>{"a", "b", "c"});
  CHECK(JsonPath::compile(".a[0]")->simple_fields().empty());
}
