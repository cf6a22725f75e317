// Which labels and fields a selector lets through, and which text is no selector.
#include <catch2/catch.hpp>

#include "pkg/k8s/selector.hpp"

using namespace nodevirt;
using k8s::FieldSelector, k8s::LabelSelector, k8s::Labels;

TEST_CASE("a label selector matches what its text says") {
  struct Case { const char* text; Labels labels; bool want; };
  auto c = GENERATE(values<Case>({
      {"", {{"a", "b"}}, true},
      {"  ", {}, true},
      {"a=b", {{"a", "b"}}, true},
      {"a==b", {{"a", "b"}}, true},
      {"a=b", {{"a", "c"}}, false},
      {"a=b", {}, false},
      {"a=", {{"a", ""}}, true},
      {"a!=b", {}, true},
      {"a!=b", {{"a", "b"}}, false},
      {"a", {{"a", ""}}, true},
      {"a", {}, false},
      {"!a", {}, true},
      {"! a", {{"a", "x"}}, false},
      {"a in (b, c)", {{"a", "c"}}, true},
      {"a in (b,c)", {{"a", "d"}}, false},
      {"a notin (b,c)", {{"a", "d"}}, true},
      {"a notin (b,c)", {}, true},
      {"a notin (b,c)", {{"a", "b"}}, false},
      {"a in ()", {{"a", ""}}, true},
      {"n>5", {{"n", "6"}}, true},
      {"n>5", {{"n", "5"}}, false},
      {"n<5", {{"n", "x"}}, false},
      {"a=b,c in (d),!e", {{"a", "b"}, {"c", "d"}}, true},
      {"a=b,c in (d),!e", {{"a", "b"}, {"c", "d"}, {"e", ""}}, false},
      {"kubevirt.io/created-by=60043358-4c58-11e8", {{"kubevirt.io/created-by", "60043358-4c58-11e8"}}, true},
      {"in in (in)", {{"in", "in"}}, true},
  }));
  DYNAMIC_SECTION(c.text << " " << c.labels.size() << " labels") {
    auto s = LabelSelector::parse(c.text);
    REQUIRE(s.ok());
    CHECK(s->matches(c.labels) == c.want);
    auto again = LabelSelector::parse(s->to_string());
    REQUIRE(again.ok());
    CHECK(again->requirements() == s->requirements());
  }
}

TEST_CASE("text that is no label selector is refused with a message") {
  auto text = GENERATE(as<std::string>{}, "=", "a=b,", ",a", "a b", "a in b", "a in (b", "a in", "a=b c", "a=(b)", "-a=b",
                       "a=b!", "n>x", "a/b/c=d", "A_/x=1", "a=" + std::string(64, 'x'), "((((", "a notin", "!", "a=b,,c=d");
  CAPTURE(text);
  auto s = LabelSelector::parse(text);
  REQUIRE_FALSE(s.ok());
  CHECK(s.error().reason == "BadRequest");
}

TEST_CASE("a label selector in an object") {
  struct Case { const char* json; Labels labels; bool want; };
  auto c = GENERATE(values<Case>({
      {"{}", {{"a", "b"}}, true},
      {"null", {{"a", "b"}}, false},
      {R"({"matchLabels":{"a":"b"}})", {{"a", "b"}}, true},
      {R"({"matchLabels":{"a":"b"},"matchExpressions":[{"key":"c","operator":"Exists"}]})", {{"a", "b"}}, false},
      {R"({"matchExpressions":[{"key":"c","operator":"NotIn","values":["x"]}]})", {}, true},
      {R"({"matchExpressions":[{"key":"c","operator":"DoesNotExist"}]})", {{"c", ""}}, false},
      {R"({"matchExpressions":[{"key":"c","operator":"In","values":["x","y"]}]})", {{"c", "y"}}, true},
      {R"({"matchExpressions":[{"key":"c","operator":"Gt","values":["3"]}]})", {{"c", "4"}}, true},
  }));
  DYNAMIC_SECTION(c.json) {
    auto s = LabelSelector::from_json(Json::parse(c.json));
    REQUIRE(s.ok());
    CHECK(s->matches(c.labels) == c.want);
  }
  auto wrong = GENERATE(as<std::string>{}, "[]", R"({"matchLabels":[]})", R"({"matchLabels":{"a":1}})",
                        R"({"matchExpressions":[{"key":"c","operator":"In"}]})",
                        R"({"matchExpressions":[{"key":"c","operator":"Near","values":["x"]}]})",
                        R"({"matchExpressions":[{"operator":"Exists"}]})", R"({"matchExpressions":{}})");
  CAPTURE(wrong);
  CHECK_FALSE(LabelSelector::from_json(Json::parse(wrong)).ok());
}

TEST_CASE("a plain map selects by all of its pairs") {
  auto s = LabelSelector::from_map(Json::parse(R"({"a":"b","c":"d"})"));
  REQUIRE(s.ok());
  CHECK(s->matches({{"a", "b"}, {"c", "d"}, {"e", "f"}}));
  CHECK_FALSE(s->matches({{"a", "b"}}));
}

TEST_CASE("field selectors") {
  Json pod = Json::parse(R"({"metadata":{"name":"p","namespace":"n"},"status":{"phase":"Running"},"spec":{"unschedulable":true}})");
  struct Case { const char* text; bool want; };
  auto c = GENERATE(values<Case>({
      {"", true}, {"metadata.name=p", true}, {"metadata.name==p", true}, {"metadata.name=q", false},
      {"metadata.name!=q,status.phase=Running", true}, {"status.phase!=Running", false},
      {"spec.nodeName=", true}, {"spec.nodeName!=", false}, {"spec.unschedulable=true", true},
      {"metadata.name.x=", true},
  }));
  DYNAMIC_SECTION(c.text) {
    auto s = FieldSelector::parse(c.text);
    REQUIRE(s.ok());
    CHECK(s->matches(pod) == c.want);
  }
  auto escaped = FieldSelector::parse(R"(a=x\,y\=z\\)");
  REQUIRE(escaped.ok());
  CHECK(escaped->requirements() == std::vector<k8s::FieldRequirement>{{"a", R"(x,y=z\)", true}});
  for (const char* wrong : {"a", "=b", "a!b", "a=b\\", "a=b=c", "a,b", "a!"}) {
    CAPTURE(wrong);
    CHECK_FALSE(FieldSelector::parse(wrong).ok());
  }
}
