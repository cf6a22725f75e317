// The OpenAPI documents: complete, with what kubectl looks for.
#include <catch2/catch.hpp>

#include "standalone/schema/openapi.hpp"

using namespace nodevirt;
using namespace nodevirt::schema;

namespace {

Json json(std::string_view text) {
  auto v = parse_json(text);
  INFO(text.substr(0, 200));
  REQUIRE(v.ok());
  return std::move(*v);
}

std::vector<ApiKind> kinds() {
  ApiKind pod{"", "v1", "Pod", "pods"};
  pod.subresources.push_back({"status", {"get", "patch", "update"}});
  pod.subresources.push_back({"eviction", {"create"}, "policy", "v1", "Eviction"});
  ApiKind node{"", "v1", "Node", "nodes", false};
  ApiKind crd{"apiextensions.k8s.io", "v1", "CustomResourceDefinition", "customresourcedefinitions", false};
  ApiKind vm{"kubevirt.io", "v1", "VirtualMachine", "virtualmachines"};
  vm.schema = std::make_shared<const Json>(json(R"({"type":"object","description":"a machine","required":["spec"],"properties":{
    "spec":{"type":"object","properties":{"running":{"type":"boolean","description":"whether it runs"},
      "free":{"type":"object","x-kubernetes-preserve-unknown-fields":true,"properties":{"x":{"type":"string"}}}},"oneOf":[{"required":["running"]}]}}})"));
  return {pod, node, crd, vm};
}

/// Every "$ref" leads somewhere.
void check_references(const Json& v, const Json& document) {
  if (v.is_object()) {
    if (auto r = v.find("$ref"); r != v.end() && r->is_string()) {
      INFO(*r);
      CHECK(document.contains(Json::json_pointer(r->get<std::string>().substr(1))));
    }
    for (const Json& c : v) check_references(c, document);
  } else if (v.is_array()) {
    for (const Json& c : v) check_references(c, document);
  }
}

}  // namespace

TEST_CASE("OpenAPI v3") {
  OpenApi api;
  api.set_kinds(kinds());
  const Json index = json(*api.v3_index());
  CHECK(index["paths"].size() == 3);
  CHECK(index["paths"]["api/v1"]["serverRelativeURL"] == "/openapi/v3/api/v1?hash=" + api.v3_hash("api/v1"));
  CHECK_FALSE(api.v3_document("apis/none/v1"));
  CHECK(api.v3_hash("apis/none/v1").empty());

  SECTION("built-in kinds") {
    const Json doc = json(*api.v3_document("api/v1"));
    check_references(doc, doc);
    const Json& schemas = doc["components"]["schemas"];
    CHECK(schemas["io.k8s.api.core.v1.Pod"]["x-kubernetes-group-version-kind"] == json(R"([{"group":"","kind":"Pod","version":"v1"}])"));
    CHECK(schemas["io.k8s.api.core.v1.PodSpec"]["properties"]["containers"]["x-kubernetes-patch-merge-key"] == "name");
    CHECK(schemas["io.k8s.api.core.v1.PodSpec"]["properties"]["containers"]["items"]["$ref"] == "#/components/schemas/io.k8s.api.core.v1.Container");
    CHECK(schemas["io.k8s.api.core.v1.PodSpec"]["required"] == json(R"(["containers"])"));
    CHECK(schemas["io.k8s.api.core.v1.ResourceRequirements"]["properties"]["limits"]["additionalProperties"]["$ref"] ==
          "#/components/schemas/io.k8s.apimachinery.pkg.api.resource.Quantity");
    CHECK(doc.dump().find("x-nodevirt") == std::string::npos);
    CHECK(doc["paths"].contains("/api/v1/nodes/{name}"));
    CHECK(doc["paths"].contains("/api/v1/pods"));
    const Json& patch = doc["paths"]["/api/v1/namespaces/{namespace}/pods/{name}"]["patch"];
    CHECK(patch["x-kubernetes-action"] == "patch");
    CHECK(patch["x-kubernetes-group-version-kind"] == json(R"({"group":"","kind":"Pod","version":"v1"})"));
    std::set<std::string> names;
    for (const Json& p : patch["parameters"]) names.insert(p["name"]);
    CHECK(names == std::set<std::string>{"dryRun", "fieldManager", "fieldValidation", "force", "pretty"});
    CHECK(doc["paths"]["/api/v1/namespaces/{namespace}/pods/{name}/eviction"]["post"]["x-kubernetes-group-version-kind"]["kind"] == "Eviction");
  }
  SECTION("custom resources") {
    const Json doc = json(*api.v3_document("apis/kubevirt.io/v1"));
    check_references(doc, doc);
    const Json& vm = doc["components"]["schemas"]["io.kubevirt.v1.VirtualMachine"];
    CHECK(vm["properties"]["spec"]["properties"]["running"]["description"] == "whether it runs");
    CHECK(vm["properties"]["spec"].contains("oneOf"));
    CHECK(vm["properties"]["metadata"]["allOf"][0]["$ref"] == "#/components/schemas/io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta");
    CHECK(doc["paths"]["/apis/kubevirt.io/v1/namespaces/{namespace}/virtualmachines"]["get"]["responses"]["200"]["content"]["application/json"]["schema"]["$ref"] ==
          "#/components/schemas/io.kubevirt.v1.VirtualMachineList");
  }
  SECTION("recursive kinds") {
    const Json doc = json(*api.v3_document("apis/apiextensions.k8s.io/v1"));
    check_references(doc, doc);
    CHECK(doc["components"]["schemas"].contains("io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaProps"));
  }
  SECTION("a hash changes with what is served, and only then") {
    const std::string core = api.v3_hash("api/v1"), custom = api.v3_hash("apis/kubevirt.io/v1"), all = api.v2_hash();
    auto again = kinds();
    api.set_kinds(again);
    CHECK(api.v3_hash("apis/kubevirt.io/v1") == custom);
    Json schema = *again.back().schema;
    schema["properties"]["spec"]["properties"]["new"]["type"] = "string";
    again.back().schema = std::make_shared<const Json>(schema);
    api.set_kinds(again);
    CHECK(api.v3_hash("api/v1") == core);
    CHECK(api.v3_hash("apis/kubevirt.io/v1") != custom);
    CHECK(api.v2_hash() != all);
  }
  SECTION("aggregated groups are listed") {
    api.set_aggregated({{"apis/subresources.kubevirt.io/v1", "/openapi/v3/apis/subresources.kubevirt.io/v1?hash=1"}});
    CHECK(json(*api.v3_index())["paths"]["apis/subresources.kubevirt.io/v1"]["serverRelativeURL"] == "/openapi/v3/apis/subresources.kubevirt.io/v1?hash=1");
  }
  SECTION("a schema may be loaded when it is needed") {
    auto lazy = kinds();
    int loads = 0;
    auto schema = lazy.back().schema;
    lazy.back().schema = nullptr;
    lazy.back().schema_hash = "1";
    lazy.back().load_schema = [&loads, schema] { ++loads; return schema; };
    api.set_kinds(lazy);
    api.v3_index();
    CHECK(loads == 0);
    CHECK(json(*api.v3_document("apis/kubevirt.io/v1"))["components"]["schemas"]["io.kubevirt.v1.VirtualMachine"]["description"] == "a machine");
    CHECK(loads == 1);
  }
}

TEST_CASE("OpenAPI v2") {
  OpenApi api;
  api.set_kinds(kinds());
  const Json doc = json(*api.v2_json());
  CHECK(doc["swagger"] == "2.0");
  check_references(doc, doc);
  const Json& vm = doc["definitions"]["io.kubevirt.v1.VirtualMachine"];
  CHECK_FALSE(vm["properties"]["spec"].contains("oneOf"));
  CHECK_FALSE(vm["properties"]["spec"]["properties"]["free"].contains("properties"));
  CHECK(doc["definitions"]["io.k8s.api.core.v1.Pod"]["properties"]["spec"]["$ref"] == "#/definitions/io.k8s.api.core.v1.PodSpec");

  const std::string bytes = *api.v2_protobuf();
  // Field 1 of the message is swagger: "2.0".
  CHECK(bytes.substr(0, 5) == "\x0a\x03" "2.0");
  CHECK(bytes.find("io.kubevirt.v1.VirtualMachine") != std::string::npos);
  CHECK(bytes.find("fieldValidation") != std::string::npos);
}
