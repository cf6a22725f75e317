// Pruning, defaults and validation of custom resources, and how complaints read.
#include <catch2/catch.hpp>

#include "standalone/schema/validator.hpp"

using namespace nodevirt;
using namespace nodevirt::schema;

namespace {

Json json(std::string_view text) {
  auto v = parse_json(text);
  INFO(text);
  REQUIRE(v.ok());
  return std::move(*v);
}

std::shared_ptr<const Validator> compile(std::string_view text) {
  auto v = Validator::compile(json(text));
  INFO((v.ok() ? std::string() : v.error().message));
  REQUIRE(v.ok());
  return *v;
}

std::string errors(const Validator& v, const Json& object, const Json* old = nullptr) {
  std::string out;
  for (const auto& e : v.validate(object, old)) out += (out.empty() ? "" : "\n") + to_string(e);
  return out;
}

constexpr std::string_view kSchema = R"({
  "type": "object", "required": ["spec"],
  "properties": {
    "spec": {
      "type": "object", "required": ["name"],
      "properties": {
        "name": {"type": "string", "minLength": 1, "maxLength": 5, "pattern": "^[a-z]+$"},
        "mode": {"type": "string", "enum": ["b", "a"], "default": "a"},
        "replicas": {"type": "integer", "format": "int32", "minimum": 1, "maximum": 10},
        "ratio": {"type": "number", "exclusiveMinimum": true, "minimum": 0},
        "on": {"type": "boolean"},
        "maybe": {"type": "string", "nullable": true},
        "port": {"x-kubernetes-int-or-string": true, "anyOf": [{"type": "integer"}, {"type": "string"}]},
        "disks": {"type": "array", "maxItems": 3, "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"],
                  "items": {"type": "object", "required": ["name"],
                            "properties": {"name": {"type": "string"}, "bus": {"type": "string", "default": "virtio"}}}},
        "tags": {"type": "array", "x-kubernetes-list-type": "set", "items": {"type": "string"}},
        "labels": {"type": "object", "additionalProperties": {"type": "string"}},
        "free": {"type": "object", "x-kubernetes-preserve-unknown-fields": true, "properties": {"known": {"type": "integer"}}},
        "template": {"type": "object", "x-kubernetes-embedded-resource": true, "properties": {"spec": {"type": "object"}}},
        "one": {"type": "object", "properties": {"x": {"type": "integer"}, "y": {"type": "integer"}},
                "oneOf": [{"required": ["x"]}, {"required": ["y"]}]},
        "not": {"type": "object", "properties": {"x": {"type": "integer"}}, "not": {"required": ["x"]}},
        "when": {"type": "string", "format": "date-time"}
      }}}})";

}  // namespace

TEST_CASE("validation says what is wrong in Kubernetes' words") {
  auto v = compile(kSchema);
  struct Case { const char* name; const char* spec; const char* want; };
  const Case cases[] = {
      {"good", R"({"name":"abc","replicas":3,"on":true,"port":80,"disks":[{"name":"a"}]})", ""},
      {"missing", R"({})", "spec.name: Required value"},
      {"type", R"({"name":"a","on":"yes"})", R"(spec.on: Invalid value: "string": spec.on in body must be of type boolean: "string")"},
      {"null", R"({"name":null})", R"(spec.name: Invalid value: "null": spec.name in body must be of type string: "null")"},
      {"nullable", R"({"name":"a","maybe":null})", ""},
      {"enum", R"({"name":"a","mode":"c"})", R"(spec.mode: Unsupported value: "c": supported values: "a", "b")"},
      {"pattern", R"({"name":"A"})", R"(spec.name: Invalid value: "A": spec.name in body should match '^[a-z]+$')"},
      {"short", R"({"name":""})", R"(spec.name: Invalid value: "": spec.name in body should be at least 1 chars long)"},
      {"long", R"({"name":"abcdef"})", "spec.name: Too long: may not be more than 5 bytes"},
      {"minimum", R"({"name":"a","replicas":0})", "spec.replicas: Invalid value: 0: spec.replicas in body should be greater than or equal to 1"},
      {"maximum", R"({"name":"a","replicas":11})", "spec.replicas: Invalid value: 11: spec.replicas in body should be less than or equal to 10"},
      {"integral float", R"({"name":"a","replicas":3.0})", ""},
      {"fraction", R"({"name":"a","replicas":3.5})", R"(spec.replicas: Invalid value: "number": spec.replicas in body must be of type integer: "number")"},
      {"exclusive", R"({"name":"a","ratio":0})", "spec.ratio: Invalid value: 0: spec.ratio in body should be greater than 0"},
      {"int or string", R"({"name":"a","port":"http"})", ""},
      {"neither", R"({"name":"a","port":true})", R"(spec.port: Invalid value: "boolean": spec.port in body must be of type integer,string: "boolean")"},
      {"too many", R"({"name":"a","disks":[{"name":"a"},{"name":"b"},{"name":"c"},{"name":"d"}]})", "spec.disks: Too many: 4: must have at most 3 items"},
      {"duplicate key", R"({"name":"a","disks":[{"name":"a"},{"name":"a"}]})", R"(spec.disks[1]: Duplicate value: {"name":"a"})"},
      {"duplicate item", R"({"name":"a","tags":["x","y","x"]})", R"(spec.tags[2]: Duplicate value: "x")"},
      {"item", R"({"name":"a","disks":[{"bus":"sata"}]})", "spec.disks[0].name: Required value"},
      {"map value", R"({"name":"a","labels":{"x":1}})", R"(spec.labels.x: Invalid value: "integer": spec.labels.x in body must be of type string: "integer")"},
      {"within preserved", R"({"name":"a","free":{"known":"x","other":[1]}})", R"(spec.free.known: Invalid value: "string": spec.free.known in body must be of type integer: "string")"},
      {"oneOf none", R"({"name":"a","one":{}})", R"(spec.one: Invalid value: {}: "spec.one" must validate one and only one schema (oneOf). Found none valid)"},
      {"oneOf both", R"({"name":"a","one":{"x":1,"y":2}})", R"(spec.one: Invalid value: {"x":1,"y":2}: "spec.one" must validate one and only one schema (oneOf). Found 2 valid alternatives)"},
      {"not", R"({"name":"a","not":{"x":1}})", R"(spec.not: Invalid value: {"x":1}: "spec.not" must not validate the schema (not))"},
      {"format", R"({"name":"a","when":"today"})", R"(spec.when: Invalid value: "today": spec.when in body must be of type date-time: "today")"},
  };
  for (const auto& c : cases) DYNAMIC_SECTION(c.name) {
    Json o = json(R"({"apiVersion":"a/v1","kind":"K","metadata":{"name":"n"}})");
    o["spec"] = json(c.spec);
    CHECK(errors(*v, o) == c.want);
  }
}

TEST_CASE("an update is not held to account for what it did not touch") {
  auto v = compile(kSchema);
  Json old = json(R"({"spec":{"name":"UPPER","replicas":99,"disks":[{"name":"a","bus":1}]}})");
  Json now = old;
  now["spec"]["on"] = true;
  CHECK(errors(*v, now, &old).empty());
  now["spec"]["replicas"] = 98;
  CHECK(errors(*v, now, &old) == "spec.replicas: Invalid value: 98: spec.replicas in body should be less than or equal to 10");
  CHECK_FALSE(errors(*v, old).empty());
}

TEST_CASE("pruning drops what the schema does not name, and says so") {
  auto v = compile(kSchema);
  Json o = json(R"({"apiVersion":"a/v1","kind":"K","metadata":{"name":"n","labels":{"a":"b"},"odd":1},"extra":1,
    "spec":{"name":"a","typo":true,"disks":[{"name":"d","buss":"sata"}],"labels":{"any":"x"},"free":{"a":{"b":1}},
            "template":{"apiVersion":"v1","kind":"Pod","metadata":{"name":"x","odd":2},"spec":{"gone":1},"other":1}}})");
  std::vector<std::string> dropped;
  v->prune(o, &dropped);
  std::sort(dropped.begin(), dropped.end());
  CHECK(dropped == std::vector<std::string>{"extra", "metadata.odd", "spec.disks[0].buss", "spec.template.metadata.odd",
                                            "spec.template.other", "spec.template.spec.gone", "spec.typo"});
  CHECK(o == json(R"({"apiVersion":"a/v1","kind":"K","metadata":{"name":"n","labels":{"a":"b"}},
    "spec":{"name":"a","disks":[{"name":"d"}],"labels":{"any":"x"},"free":{"a":{"b":1}},
            "template":{"apiVersion":"v1","kind":"Pod","metadata":{"name":"x"},"spec":{}}}})"));
}

TEST_CASE("defaults fill what is absent") {
  auto v = compile(kSchema);
  Json o = json(R"({"spec":{"name":"a","disks":[{"name":"x"},{"name":"y","bus":"sata"}],"maybe":null}})");
  v->apply_defaults(o);
  CHECK(o == json(R"({"spec":{"name":"a","mode":"a","disks":[{"name":"x","bus":"virtio"},{"name":"y","bus":"sata"}],"maybe":null}})"));
}

TEST_CASE("a schema that is not structural is refused with its place") {
  struct Case { const char* name; const char* schema; const char* want; };
  const Case cases[] = {
      {"no type", R"({"type":"object","properties":{"spec":{}}})", "properties[spec].type: Required value: must not be empty for specified object fields"},
      {"bad type", R"({"type":"object","properties":{"a":{"type":"int"}}})", "properties[a].type: Unsupported value: \"int\""},
      {"no items", R"({"type":"object","properties":{"a":{"type":"array"}}})", "properties[a].items: Required value: must be specified"},
      {"root", R"({"type":"array","items":{"type":"string"}})", "type: Invalid value: must be object at the root"},
      {"ref", R"({"type":"object","properties":{"a":{"$ref":"#/x"}}})", "properties[a].$ref: Forbidden"},
      {"both", R"({"type":"object","properties":{"a":{"type":"object","properties":{"b":{"type":"string"}},"additionalProperties":{"type":"string"}}}})", "mutual exclusive"},
      {"pattern", R"({"type":"object","properties":{"a":{"type":"string","pattern":"("}}})", "must be a valid regular expression"},
      {"map without keys", R"({"type":"object","properties":{"a":{"type":"array","x-kubernetes-list-type":"map","items":{"type":"object"}}}})", "x-kubernetes-list-map-keys: Required value"},
      {"key optional", R"({"type":"object","properties":{"a":{"type":"array","x-kubernetes-list-type":"map","x-kubernetes-list-map-keys":["n"],"items":{"type":"object","properties":{"n":{"type":"string"}}}}}})", "must be required or have a default"},
      {"default of another type", R"({"type":"object","properties":{"a":{"type":"integer","default":"x"}}})", "properties[a].default"},
      {"default within oneOf", R"({"type":"object","properties":{"a":{"type":"object","oneOf":[{"properties":{"x":{"default":1}}}]}}})", "Forbidden"},
      {"unique", R"({"type":"object","properties":{"a":{"type":"array","uniqueItems":true,"items":{"type":"string"}}}})", "uniqueItems"},
  };
  for (const auto& c : cases) DYNAMIC_SECTION(c.name) {
    auto v = Validator::compile(json(c.schema));
    REQUIRE_FALSE(v.ok());
    INFO(v.error().message);
    CHECK(v.error().message.find(c.want) != std::string::npos);
    CHECK(v.error().code == Code::InvalidArgument);
  }
}

TEST_CASE("rules in CEL are accepted with a warning") {
  auto v = compile(R"({"type":"object","properties":{"a":{"type":"integer","x-kubernetes-validations":[{"rule":"self > 1"}]}}})");
  REQUIRE(v->warnings().size() == 1);
  CHECK(v->warnings()[0].find("not evaluated") != std::string::npos);
  CHECK(errors(*v, json(R"({"a":0})")).empty());
}

TEST_CASE("hostile input is bounded") {
  auto v = compile(kSchema);
  SECTION("deep object") {
    Json deep = 1;
    for (int i = 0; i < 1000; ++i) deep = Json::object({{"a", std::move(deep)}});
    Json o = Json::object({{"spec", Json::object({{"name", "a"}, {"free", deep}})}});
    v->prune(o);
    v->apply_defaults(o);
    v->validate(o);
  }
  SECTION("deep schema") {
    Json deep = json(R"({"type":"string"})");
    for (int i = 0; i < 500; ++i) {
      Json outer = json(R"({"type":"object"})");
      outer["properties"]["a"] = std::move(deep);
      deep = std::move(outer);
    }
    auto r = Validator::compile(deep);
    REQUIRE_FALSE(r.ok());
  }
  SECTION("many errors are cut off") {
    Json o = json(R"({"spec":{"name":"a"}})");
    for (int i = 0; i < 10000; ++i) o["spec"]["labels"]["k" + std::to_string(i)] = i;
    CHECK(v->validate(o).size() == 100);
  }
  SECTION("long values are shortened in messages") {
    Json o = json(R"({"spec":{}})");
    o["spec"]["name"] = "a";
    o["spec"]["mode"] = std::string(100000, 'x');
    CHECK(errors(*v, o).size() < 2000);
  }
}

TEST_CASE("the message of an Invalid status") {
  CHECK(invalid_message("VirtualMachine", "kubevirt.io", "vm", {{"spec.a", "FieldValueRequired", "Required value"}}) ==
        "VirtualMachine.kubevirt.io \"vm\" is invalid: spec.a: Required value");
  CHECK(invalid_message("Pod", "", "p", {{"a", "x", "m"}, {"b", "x", "n"}, {"b", "x", "n"}}) == "Pod \"p\" is invalid: [a: m, b: n]");
  CHECK(causes({{"spec.a", "FieldValueRequired", "Required value"}}) ==
        json(R"([{"field":"spec.a","message":"Required value","reason":"FieldValueRequired"}])"));
}
