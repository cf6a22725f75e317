// RFC 6902 and RFC 7386: what a patch does, and that a bad one changes nothing and harms nobody.
#include <catch2/catch.hpp>

#include "pkg/k8s/json_patch.hpp"
#include "pkg/k8s/merge_patch.hpp"

using namespace nodevirt;

TEST_CASE("a JSON patch gives the document that RFC 6902 asks for") {
  struct Case { const char *name, *doc, *patch, *want; };  // want: a document, or "!reason"
  auto c = GENERATE(values<Case>({
      {"add a member", R"({"a":1})", R"([{"op":"add","path":"/b","value":[2]}])", R"({"a":1,"b":[2]})"},
      {"add over a member replaces", R"({"a":1})", R"([{"op":"add","path":"/a","value":2}])", R"({"a":2})"},
      {"add inside an array", R"({"a":[1,3]})", R"([{"op":"add","path":"/a/1","value":2}])", R"({"a":[1,2,3]})"},
      {"add at the end by number", R"([1])", R"([{"op":"add","path":"/1","value":2}])", "[1,2]"},
      {"add at the end by dash", R"([1])", R"([{"op":"add","path":"/-","value":2}])", "[1,2]"},
      {"add past the end", R"([1])", R"([{"op":"add","path":"/2","value":2}])", "!Invalid"},
      {"add below nothing", R"({})", R"([{"op":"add","path":"/a/b","value":2}])", "!Invalid"},
      {"add the whole", R"({"a":1})", R"([{"op":"add","path":"","value":[]}])", "[]"},
      {"remove a member", R"({"a":1,"b":2})", R"([{"op":"remove","path":"/a"}])", R"({"b":2})"},
      {"remove an element", R"([1,2,3])", R"([{"op":"remove","path":"/1"}])", "[1,3]"},
      {"remove nothing", R"({})", R"([{"op":"remove","path":"/a"}])", "!Invalid"},
      {"remove at dash", R"([1])", R"([{"op":"remove","path":"/-"}])", "!Invalid"},
      {"replace", R"({"a":{"b":1}})", R"([{"op":"replace","path":"/a/b","value":null}])", R"({"a":{"b":null}})"},
      {"replace nothing", R"({})", R"([{"op":"replace","path":"/a","value":1}])", "!Invalid"},
      {"move", R"({"a":{"x":1},"b":{}})", R"([{"op":"move","from":"/a/x","path":"/b/y"}])", R"({"a":{},"b":{"y":1}})"},
      {"move inside an array", "[1,2,3]", R"([{"op":"move","from":"/0","path":"/2"}])", "[2,3,1]"},
      {"move into itself", R"({"a":{}})", R"([{"op":"move","from":"/a","path":"/a/b"}])", "!Invalid"},
      {"copy", R"({"a":{"x":1}})", R"([{"op":"copy","from":"/a","path":"/b"}])", R"({"a":{"x":1},"b":{"x":1}})"},
      {"copy the whole into a part", R"({"a":1})", R"([{"op":"copy","from":"","path":"/b"}])", R"({"a":1,"b":{"a":1}})"},
      {"test holds", R"({"a":[1,{"b":"c"}]})", R"([{"op":"test","path":"/a","value":[1,{"b":"c"}]}])", R"({"a":[1,{"b":"c"}]})"},
      {"test fails", R"({"a":1})", R"([{"op":"test","path":"/a","value":2}])", "!Invalid"},
      {"test of nothing against null", R"({})", R"([{"op":"test","path":"/a","value":null}])", "{}"},
      {"test of nothing against a value", R"({})", R"([{"op":"test","path":"/a","value":1}])", "!Invalid"},
      {"a failed test undoes what came before", R"({"a":1})",
       R"([{"op":"remove","path":"/a"},{"op":"test","path":"/b","value":1}])", "!Invalid"},
      {"escapes", R"({"a/b":{"m~n":1}})", R"([{"op":"replace","path":"/a~1b/m~0n","value":2}])", R"({"a/b":{"m~n":2}})"},
      {"an empty key", R"({"":1})", R"([{"op":"replace","path":"/","value":2}])", R"({"":2})"},
      {"bad escape", R"({})", R"([{"op":"add","path":"/a~2","value":2}])", "!BadRequest"},
      {"a path without slash", R"({})", R"([{"op":"add","path":"a","value":2}])", "!BadRequest"},
      {"leading zero", "[1,2]", R"([{"op":"remove","path":"/01"}])", "!Invalid"},
      {"a huge index", "[1,2]", R"([{"op":"remove","path":"/18446744073709551617"}])", "!Invalid"},
      {"no value", R"({})", R"([{"op":"add","path":"/a"}])", "!BadRequest"},
      {"no path", R"({})", R"([{"op":"add","value":1}])", "!BadRequest"},
      {"unknown operation", R"({})", R"([{"op":"destroy","path":"/a"}])", "!BadRequest"},
      {"no array", R"({})", R"({"op":"remove","path":"/a"})", "!BadRequest"},
      {"no object", R"({})", R"([7])", "!BadRequest"},
  }));
  DYNAMIC_SECTION(c.name) {
    auto got = k8s::apply_json_patch(Json::parse(c.doc), Json::parse(c.patch));
    if (c.want[0] == '!') {
      REQUIRE_FALSE(got.ok());
      CHECK(got.error().reason == c.want + 1);
      CHECK_FALSE(got.error().message.empty());
    } else {
      REQUIRE(got.ok());
      CHECK(*got == Json::parse(c.want));
    }
  }
}

TEST_CASE("a JSON patch that would grow without bound is refused") {
  Json doubling = Json::array();
  for (int i = 0; i < 60; ++i) doubling.push_back({{"op", "copy"}, {"from", ""}, {"path", "/k" + std::to_string(i)}});
  auto grown = k8s::apply_json_patch(Json{{"seed", std::string(1000, 'x')}}, doubling);
  REQUIRE_FALSE(grown.ok());

  Json deep = Json::array();
  for (int i = 0; i < 500; ++i) deep.push_back({{"op", "copy"}, {"from", ""}, {"path", "/a"}});
  CHECK_FALSE(k8s::apply_json_patch(Json::object(), deep).ok());

  Json many = Json::array();
  for (int i = 0; i < 10001; ++i) many.push_back({{"op", "test"}, {"path", ""}, {"value", Json::object()}});
  auto refused = k8s::apply_json_patch(Json::object(), many);
  REQUIRE_FALSE(refused.ok());
  CHECK(refused.error().reason == "RequestEntityTooLarge");
}

TEST_CASE("a merge patch gives what RFC 7386's examples say") {
  struct Case { const char *doc, *patch, *want; };
  auto c = GENERATE(values<Case>({
      {R"({"a":"b"})", R"({"a":"c"})", R"({"a":"c"})"},
      {R"({"a":"b"})", R"({"b":"c"})", R"({"a":"b","b":"c"})"},
      {R"({"a":"b"})", R"({"a":null})", R"({})"},
      {R"({"a":"b","b":"c"})", R"({"a":null})", R"({"b":"c"})"},
      {R"({"a":["b"]})", R"({"a":"c"})", R"({"a":"c"})"},
      {R"({"a":"c"})", R"({"a":["b"]})", R"({"a":["b"]})"},
      {R"({"a":{"b":"c"}})", R"({"a":{"b":"d","c":null}})", R"({"a":{"b":"d"}})"},
      {R"({"a":[{"b":"c"}]})", R"({"a":[1]})", R"({"a":[1]})"},
      {R"(["a","b"])", R"(["c","d"])", R"(["c","d"])"},
      {R"({"a":"b"})", R"(["c"])", R"(["c"])"},
      {R"({"a":"foo"})", "null", "null"},
      {R"({"a":"foo"})", R"("bar")", R"("bar")"},
      {R"({"e":null})", R"({"a":1})", R"({"e":null,"a":1})"},
      {R"([1,2])", R"({"a":"b","c":null})", R"({"a":"b"})"},
      {R"({})", R"({"a":{"bb":{"ccc":null}}})", R"({"a":{"bb":{}}})"},
  }));
  DYNAMIC_SECTION(c.doc << " + " << c.patch) {
    CHECK(k8s::apply_merge_patch(Json::parse(c.doc), Json::parse(c.patch)) == Json::parse(c.want));
  }
}

TEST_CASE("make_merge_patch gives the patch that leads from one document to the other") {
  struct Case { const char *from, *to, *patch; };
  auto c = GENERATE(values<Case>({
      {R"({"a":1})", R"({"a":1})", "{}"},
      {R"({"a":1,"b":2})", R"({"a":1})", R"({"b":null})"},
      {R"({"a":{"x":1,"y":2}})", R"({"a":{"x":1,"y":3}})", R"({"a":{"y":3}})"},
      {R"({"a":[1,2]})", R"({"a":[1]})", R"({"a":[1]})"},
      {R"({"a":{"x":1}})", R"({"a":"s"})", R"({"a":"s"})"},
  }));
  DYNAMIC_SECTION(c.from << " -> " << c.to) {
    Json patch = k8s::make_merge_patch(Json::parse(c.from), Json::parse(c.to));
    CHECK(patch == Json::parse(c.patch));
    CHECK(k8s::apply_merge_patch(Json::parse(c.from), patch) == Json::parse(c.to));
  }
}
