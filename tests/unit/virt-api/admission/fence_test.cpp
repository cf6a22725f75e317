// A fence that is wrong, or in a place where it does nothing, is told, not ignored.
#include <catch2/catch.hpp>

#include "virt-api/admission/validate.hpp"

using namespace nodevirt;
using namespace nodevirt::virt_api;

namespace {

const std::string kKey = "nodevirt.io/fence-seconds";

Json machine(const Json& fence) {
  Json vm = Json::parse(R"({"metadata": {"name": "vm1"}, "spec": {"runStrategy": "Halted", "template": {"metadata": {}, "spec": {"domain": {
      "resources": {"requests": {"memory": "64M"}}, "devices": {}}}}}})");
  if (!fence.is_null()) vm["spec"]["template"]["metadata"]["annotations"][kKey] = fence;
  return vm;
}

Json instance(const Json& fence) {
  Json vmi = Json::parse(R"({"metadata": {"name": "vm1"}, "spec": {"domain": {"resources": {"requests": {"memory": "64M"}}, "devices": {}}}})");
  if (!fence.is_null()) vmi["metadata"]["annotations"][kKey] = fence;
  return vmi;
}

}  // namespace

TEST_CASE("the fence annotation of a template and of an instance", "[virt-api]") {
  for (const Json& good : {Json(), Json("5"), Json("30"), Json("3600")}) {
    DYNAMIC_SECTION(good.dump()) {
      CHECK(validate_vm(machine(good)).empty());
      CHECK(validate_vmi(instance(good)).empty());
    }
  }
  for (const Json& wrong : {Json(""), Json("4"), Json("3601"), Json("30s"), Json("-5"), Json(30), Json::object()}) {
    DYNAMIC_SECTION(wrong.dump()) {
      auto causes = validate_vm(machine(wrong));
      REQUIRE(causes.size() == 1);
      CHECK(causes[0].field == "spec.template.metadata.annotations[nodevirt.io/fence-seconds]");
      CHECK(causes[0].message == "must be a whole number of seconds from 5 to 3600");
      causes = validate_vmi(instance(wrong));
      REQUIRE(causes.size() == 1);
      CHECK(causes[0].field == "metadata.annotations[nodevirt.io/fence-seconds]");
    }
  }
}

TEST_CASE("a fence on the machine itself would do nothing", "[virt-api]") {
  AdmissionRequest r;
  r.operation = "UPDATE";
  r.old_object = r.object = machine("30");
  r.object["metadata"]["annotations"][kKey] = "30";
  auto refused = admit_vm(r);
  CHECK_FALSE(refused.allowed);
  CHECK(refused.message.find("belongs in spec.template.metadata.annotations") != std::string::npos);
  r.old_object = r.object;  // it was there before we looked
  CHECK(admit_vm(r).allowed);
}

TEST_CASE("a fence of an instance that runs may be changed, to what is one", "[virt-api]") {
  AdmissionRequest r;
  r.operation = "UPDATE";
  r.user = "admin";
  r.old_object = instance("30");
  r.object = instance("60");
  CHECK(admit_vmi_update(r).allowed);
  r.object = instance(Json());
  CHECK(admit_vmi_update(r).allowed);
  r.object = instance("1h");
  CHECK_FALSE(admit_vmi_update(r).allowed);
  r.old_object = r.object;
  CHECK(admit_vmi_update(r).allowed);
}
