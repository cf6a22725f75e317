// Strategic merge as kubectl uses it on built-in kinds.
#include <catch2/catch.hpp>

#include "standalone/schema/builtin.hpp"
#include "standalone/schema/strategic_merge.hpp"

using namespace nodevirt;
using namespace nodevirt::schema;

namespace {

Json json(std::string_view text) {
  auto v = parse_json(text);
  INFO(text);
  REQUIRE(v.ok());
  return std::move(*v);
}

struct Case { const char* name; const char* kind; const char* original; const char* patch; const char* want; };

const Case kCases[] = {
    {"add label", "Pod", R"({"metadata":{"labels":{"a":"1"}}})", R"({"metadata":{"labels":{"b":"2"}}})", R"({"metadata":{"labels":{"a":"1","b":"2"}}})"},
    {"remove label", "Pod", R"({"metadata":{"labels":{"a":"1","b":"2"}}})", R"({"metadata":{"labels":{"b":null}}})", R"({"metadata":{"labels":{"a":"1"}}})"},
    {"container by name", "Pod", R"({"spec":{"containers":[{"name":"a","image":"x"},{"name":"b","image":"y"}]}})",
     R"({"spec":{"containers":[{"name":"b","image":"z"}]}})", R"({"spec":{"containers":[{"name":"a","image":"x"},{"name":"b","image":"z"}]}})"},
    {"what is new comes first", "Pod", R"({"spec":{"containers":[{"name":"a"}]}})", R"({"spec":{"containers":[{"name":"b","image":null}]}})",
     R"({"spec":{"containers":[{"name":"b"},{"name":"a"}]}})"},
    {"delete container", "Pod", R"({"spec":{"containers":[{"name":"a"},{"name":"b"}]}})", R"({"spec":{"containers":[{"name":"a","$patch":"delete"}]}})",
     R"({"spec":{"containers":[{"name":"b"}]}})"},
    {"delete what is not there", "Pod", R"({"spec":{"containers":[{"name":"b"}]}})", R"({"spec":{"containers":[{"name":"a","$patch":"delete"}]}})",
     R"({"spec":{"containers":[{"name":"b"}]}})"},
    {"replace the list", "Pod", R"({"spec":{"containers":[{"name":"a"},{"name":"b"}]}})", R"({"spec":{"containers":[{"$patch":"replace"},{"name":"c"}]}})",
     R"({"spec":{"containers":[{"name":"c"}]}})"},
    {"replace a map", "Pod", R"({"spec":{"nodeSelector":{"a":"1"}}})", R"({"spec":{"nodeSelector":{"$patch":"replace","b":"2"}}})",
     R"({"spec":{"nodeSelector":{"b":"2"}}})"},
    {"delete a map", "Pod", R"({"spec":{"nodeSelector":{"a":"1"},"hostname":"h"}})", R"({"spec":{"nodeSelector":{"$patch":"delete"}}})", R"({"spec":{"hostname":"h"}})"},
    {"atomic list", "Pod", R"({"spec":{"containers":[{"name":"a","args":["1","2"]}]}})", R"({"spec":{"containers":[{"name":"a","args":["3"]}]}})",
     R"({"spec":{"containers":[{"name":"a","args":["3"]}]}})"},
    {"tolerations are atomic", "Pod", R"({"spec":{"tolerations":[{"key":"a"}]}})", R"({"spec":{"tolerations":[{"key":"b"}]}})", R"({"spec":{"tolerations":[{"key":"b"}]}})"},
    {"finalizers merge", "Pod", R"({"metadata":{"finalizers":["a","b"]}})", R"({"metadata":{"finalizers":["c"]}})", R"({"metadata":{"finalizers":["c","a","b"]}})"},
    {"finalizers delete", "Pod", R"({"metadata":{"finalizers":["a","b"]}})", R"({"metadata":{"$deleteFromPrimitiveList/finalizers":["a"]}})", R"({"metadata":{"finalizers":["b"]}})"},
    {"element order", "Pod", R"({"spec":{"containers":[{"name":"a"},{"name":"b"},{"name":"server"}]}})",
     R"({"spec":{"$setElementOrder/containers":[{"name":"b"},{"name":"a"}],"containers":[{"name":"a","image":"i"}]}})",
     R"({"spec":{"containers":[{"name":"b"},{"name":"a","image":"i"},{"name":"server"}]}})"},
    {"order alone", "Pod", R"({"spec":{"containers":[{"name":"a"},{"name":"b"}]}})", R"({"spec":{"$setElementOrder/containers":[{"name":"b"},{"name":"a"}]}})",
     R"({"spec":{"containers":[{"name":"b"},{"name":"a"}]}})"},
    {"retainKeys", "Pod", R"({"spec":{"volumes":[{"name":"v","emptyDir":{}}]}})",
     R"({"spec":{"volumes":[{"$retainKeys":["name","hostPath"],"name":"v","hostPath":{"path":"/x"}}]}})", R"({"spec":{"volumes":[{"name":"v","hostPath":{"path":"/x"}}]}})"},
    {"conditions by type", "Node", R"({"status":{"conditions":[{"type":"Ready","status":"True"},{"type":"Disk","status":"False"}]}})",
     R"({"status":{"conditions":[{"type":"Ready","status":"False"}]}})", R"({"status":{"conditions":[{"type":"Ready","status":"False"},{"type":"Disk","status":"False"}]}})"},
    {"service ports by port", "Service", R"({"spec":{"ports":[{"port":80,"name":"a"}]}})", R"({"spec":{"ports":[{"port":80,"targetPort":8080}]}})",
     R"({"spec":{"ports":[{"port":80,"name":"a","targetPort":8080}]}})"},
    {"cordon", "Node", R"({"spec":{"podCIDR":"x"}})", R"({"spec":{"unschedulable":true}})", R"({"spec":{"podCIDR":"x","unschedulable":true}})"},
    {"uncordon", "Node", R"({"spec":{"unschedulable":true}})", R"({"spec":{"unschedulable":null}})", R"({"spec":{}})"},
    {"taints are atomic by patch", "Node", R"({"spec":{"taints":[{"key":"a","effect":"NoSchedule"}]}})", R"({"spec":{"taints":[{"key":"b","effect":"NoExecute"}]}})",
     R"({"spec":{"taints":[{"key":"b","effect":"NoExecute"}]}})"},
    {"nulls vanish in new maps", "Pod", R"({})", R"({"metadata":{"annotations":{"a":null,"b":"x"}}})", R"({"metadata":{"annotations":{"b":"x"}}})"},
    {"unknown field merges plainly", "Pod", R"({"odd":{"a":1,"l":[1]}})", R"({"odd":{"b":2,"l":[2]}})", R"({"odd":{"a":1,"b":2,"l":[2]}})"},
};

}  // namespace

TEST_CASE("strategic merge") {
  for (const auto& c : kCases) DYNAMIC_SECTION(c.name) {
    auto schema = builtin_schema("", "v1", c.kind);
    REQUIRE(schema);
    auto got = strategic_merge(json(c.original), json(c.patch), *schema);
    INFO((got.ok() ? std::string() : got.error().message));
    REQUIRE(got.ok());
    CHECK(*got == json(c.want));
  }
}

TEST_CASE("malformed strategic merge patches are refused") {
  const Case cases[] = {
      {"no merge key", "Pod", R"({"spec":{"containers":[{"name":"a"}]}})", R"({"spec":{"containers":[{"image":"x"}]}})", "does not contain declared merge key: name"},
      {"directive", "Pod", R"({"spec":{}})", R"({"spec":{"$patch":"explode"}})", "unknown $patch directive"},
      {"retainKeys", "Pod", R"({"spec":{"volumes":[{"name":"v"}]}})", R"({"spec":{"volumes":[{"name":"v","$retainKeys":["name"],"emptyDir":{}}]}})", "$retainKeys"},
      {"order", "Pod", R"({"spec":{"containers":[{"name":"a"}]}})", R"({"spec":{"$setElementOrder/containers":[{"name":"b"}],"containers":[{"name":"a"}]}})", "order"},
      {"list for a map", "Pod", R"({"spec":{"hostname":"x"}})", R"({"spec":[1]})", "wrong type"},
      {"not an object", "Pod", R"({})", R"([1])", "must be an object"},
  };
  for (const auto& c : cases) DYNAMIC_SECTION(c.name) {
    auto got = strategic_merge(json(c.original), json(c.patch), *builtin_schema("", "v1", c.kind));
    REQUIRE_FALSE(got.ok());
    INFO(got.error().message);
    CHECK(got.error().message.find(c.want) != std::string::npos);
  }
  Json deep = 1;
  for (int i = 0; i < 1000; ++i) deep = Json::object({{"a", std::move(deep)}});
  CHECK_FALSE(json_merge(Json::object(), deep).ok());
  (void)strategic_merge(deep, deep, *builtin_schema("", "v1", "Pod"));
}

TEST_CASE("JSON merge patch") {
  CHECK(*json_merge(json(R"({"a":{"b":1,"c":2},"l":[1]})"), json(R"({"a":{"b":null,"d":{"e":null,"f":1}},"l":[2]})")) ==
        json(R"({"a":{"c":2,"d":{"f":1}},"l":[2]})"));
}
