#include "virtctl/commands/expose.hpp"

#include <catch2/catch.hpp>

using namespace nodevirt;
using namespace nodevirt::virtctl;

TEST_CASE("expose selects the pods of the machine, before it ever ran") {
  ExposeFlags flags;
  flags.name = "vmiservice";
  flags.port = 27017;
  flags.target_port = "22";
  auto service = service_for({Kind::VirtualMachine, "vmi-ephemeral"}, Json::object(), flags);
  REQUIRE(service.ok());
  CHECK((*service)["spec"]["selector"] == Json{{"vm.kubevirt.io/name", "vmi-ephemeral"}});
  CHECK((*service)["spec"]["ports"][0] == Json{{"port", 27017}, {"targetPort", 22}, {"protocol", "TCP"}});
  CHECK((*service)["spec"]["type"] == "ClusterIP");
}

TEST_CASE("without --port the declared ports are exposed, and none at all is an error") {
  ExposeFlags flags;
  flags.name = "s";
  Json vm = Json::parse(R"({"spec":{"template":{"spec":{"domain":{"devices":{"interfaces":[
      {"name":"default","masquerade":{},"ports":[{"port":80,"name":"http"},{"port":53,"protocol":"UDP"}]}]}}}}}})");
  auto service = service_for({Kind::VirtualMachine, "a"}, vm, flags);
  REQUIRE(service.ok());
  CHECK((*service)["spec"]["ports"] == Json::parse(R"([{"name":"http","port":80,"protocol":"TCP"},
                                                       {"name":"port-2","port":53,"protocol":"UDP"}])"));
  CHECK_FALSE(service_for({Kind::VirtualMachine, "a"}, Json::object(), flags).ok());
  flags.port = 70000;
  CHECK_FALSE(service_for({Kind::VirtualMachine, "a"}, vm, flags).ok());
}
