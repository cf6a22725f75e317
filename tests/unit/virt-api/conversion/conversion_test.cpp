// v1alpha2 and back: what the user wrote is what the user sees.
#include <catch2/catch.hpp>

#include "virt-api/admission/defaults.hpp"
#include "virt-api/admission/validate.hpp"
#include "virt-api/conversion/conversion.hpp"

using namespace nodevirt;
using namespace nodevirt::virt_api;

namespace {

const char* kSeed = R"({
  "apiVersion": "kubevirt.io/v1alpha2", "kind": "VirtualMachine",
  "metadata": {"creationTimestamp": null, "labels": {"kubevirt.io/vm": "vm-cirros"}, "name": "vm-cirros"},
  "spec": {"running": false, "template": {"metadata": {"creationTimestamp": null, "labels": {"kubevirt.io/vm": "vm-cirros"}},
    "spec": {"domain": {"devices": {"disks": [
        {"disk": {"bus": "virtio"}, "name": "containerdisk", "volumeName": "registryvolume"},
        {"disk": {"bus": "virtio"}, "name": "cloudinitdisk", "volumeName": "cloudinitvolume"}]},
        "machine": {"type": ""}, "resources": {"requests": {"memory": "64M"}}},
      "terminationGracePeriodSeconds": 0,
      "volumes": [{"name": "registryvolume", "containerDisk": {"image": "kubevirt/cirros-container-disk-demo:latest"}},
        {"cloudInitNoCloud": {"userDataBase64": "IyEvYmluL3NoCgplY2hvICdwcmludGVkIGZyb20gY2xvdWQtaW5pdCB1c2VyZGF0YScK"}, "name": "cloudinitvolume"}]}}}})";

}  // namespace

TEST_CASE("the v1alpha2 example becomes a sound v1 object", "[virt-api]") {
  auto v1 = convert_object(Json::parse(kSeed), "kubevirt.io/v1");
  REQUIRE(v1.ok());
  const auto& spec = (*v1)["spec"]["template"]["spec"];
  CHECK(spec["volumes"][0]["name"] == "containerdisk");
  CHECK(spec["volumes"][1]["name"] == "cloudinitdisk");
  CHECK_FALSE(spec["domain"]["devices"]["disks"][0].contains("volumeName"));
  CHECK(validate_vm(*v1).empty());
  CHECK(validate_vm(with_vm_defaults(*v1)).empty());
}

TEST_CASE("conversion there and back gives what was written", "[virt-api]") {
  struct Case {
    std::string name, patch;
  };
  for (const auto& c : std::vector<Case>{
           {"the example", "[]"},
           {"registryDisk", R"([{"op":"replace","path":"/spec/template/spec/volumes/0","value":{"name":"registryvolume","registryDisk":{"image":"x"}}}])"},
           {"equal names", R"([{"op":"replace","path":"/spec/template/spec/volumes/0/name","value":"containerdisk"},
                               {"op":"replace","path":"/spec/template/spec/domain/devices/disks/0/volumeName","value":"containerdisk"}])"},
           {"names that change places", R"([{"op":"replace","path":"/spec/template/spec/volumes/0/name","value":"cloudinitdisk"},
                               {"op":"replace","path":"/spec/template/spec/volumes/1/name","value":"containerdisk"},
                               {"op":"replace","path":"/spec/template/spec/domain/devices/disks/0/volumeName","value":"cloudinitdisk"},
                               {"op":"replace","path":"/spec/template/spec/domain/devices/disks/1/volumeName","value":"containerdisk"}])"},
           {"annotations of the user's", R"([{"op":"add","path":"/metadata/annotations","value":{"a":"b"}}])"},
       }) {
    DYNAMIC_SECTION(c.name) {
      auto original = Json::parse(kSeed).patch(Json::parse(c.patch));
      auto v1 = convert_object(original, "kubevirt.io/v1");
      REQUIRE(v1.ok());
      CHECK(validate_vm(*v1).empty());
      auto back = convert_object(*v1, "kubevirt.io/v1alpha2");
      REQUIRE(back.ok());
      CHECK(*back == original);
      auto again = convert_object(*back, "kubevirt.io/v1");
      REQUIRE(again.ok());
      CHECK(*again == *v1);
    }
  }
}

TEST_CASE("v1alpha3 has the fields of v1; an instance without memory shows volumeName = name", "[virt-api]") {
  auto v1 = Json::parse(R"({"apiVersion":"kubevirt.io/v1","kind":"VirtualMachineInstance","metadata":{"name":"a"},
    "spec":{"domain":{"devices":{"disks":[{"name":"d","disk":{}}]}},"volumes":[{"name":"d","containerDisk":{"image":"x"}}]}})");
  auto v1alpha3 = convert_object(v1, "kubevirt.io/v1alpha3");
  REQUIRE(v1alpha3.ok());
  auto expected = v1;
  expected["apiVersion"] = "kubevirt.io/v1alpha3";
  CHECK(*v1alpha3 == expected);
  auto v1alpha2 = convert_object(v1, "kubevirt.io/v1alpha2");
  REQUIRE(v1alpha2.ok());
  CHECK((*v1alpha2)["spec"]["domain"]["devices"]["disks"][0]["volumeName"] == "d");
  CHECK(convert_object(*v1alpha2, "kubevirt.io/v1").value_or(Json()) == v1);
}

TEST_CASE("conversion of hostile objects fails or passes, and never throws", "[virt-api]") {
  for (const char* text : {"{}", "[]", "null", R"({"apiVersion":"apps/v1"})", R"({"apiVersion":"kubevirt.io/v1alpha2","kind":"VirtualMachine","spec":5})",
                           R"({"apiVersion":"kubevirt.io/v1alpha2","kind":"VirtualMachine","metadata":[],"spec":{"template":{"spec":{"domain":{"devices":{"disks":[1,{"name":3,"volumeName":"x"}]}},"volumes":[null,{"registryDisk":1}]}}}})",
                           R"({"apiVersion":"kubevirt.io/v1","kind":"VirtualMachine","metadata":{"annotations":{"nodevirt.io/v1alpha2-volume-names":"[1]"}},"spec":{}})",
                           R"({"apiVersion":"kubevirt.io/v1","kind":"VirtualMachineInstance","metadata":{"annotations":{"nodevirt.io/v1alpha2-volume-names":"{\"volumeNames\":{\"a\":1},\"registryDisks\":{}}"}},"spec":{"volumes":[{"containerDisk":1}]}})"}) {
    DYNAMIC_SECTION(text) {
      for (const char* version : {"kubevirt.io/v1", "kubevirt.io/v1alpha2", "kubevirt.io/v1alpha3", "other/v1"}) {
        auto converted = convert_object(Json::parse(text), version);
        (void)converted;
      }
    }
  }
  auto review = convert_review(R"({"request":{"uid":"1","desiredAPIVersion":"kubevirt.io/v1","objects":[{"apiVersion":"other/v1"}]}})");
  REQUIRE(review.ok());
  CHECK((*review)["response"]["result"]["status"] == "Failure");
  CHECK_FALSE(convert_review("{}").ok());
}
