// What the view reads, what it defaults, and that wrong types are named by their path.
#include <catch2/catch.hpp>

#include "api/vmi.hpp"

using namespace nodevirt;
using namespace nodevirt::api;

namespace {
Result<Instance> decode(std::string_view text) {
  auto j = parse_json(text);
  REQUIRE(j.ok());
  return decode_instance(*j);
}
}  // namespace

TEST_CASE("an instance's fields arrive in the view") {
  auto vmi = decode(R"({"metadata":{"name":"vm","namespace":"ns","uid":"u","generation":3,"labels":{"a":"b"},
    "finalizers":["f"],"deletionTimestamp":"2026-01-02T03:04:05Z"},
    "spec":{"domain":{"resources":{"requests":{"memory":"64M","cpu":"1500m"}},"machine":{"type":""},
      "cpu":{"cores":2,"model":"qemu64","features":[{"name":"svm","policy":"disable"}]},
      "features":{"acpi":{},"apic":{"enabled":false},"hyperv":{"relaxed":{}}},
      "devices":{"disks":[{"name":"d","disk":{"bus":"virtio"},"bootOrder":1},{"name":"c","cdrom":{}}],
        "interfaces":[{"name":"default","masquerade":{},"ports":[{"port":80}]}],
        "watchdog":{"name":"w","i6300esb":{"action":"poweroff"}},"rng":{}}},
      "volumes":[{"name":"d","containerDisk":{"image":"i","path":"/disk/x"}},{"name":"c","cloudInitNoCloud":{"userData":"u"}},
        {"name":"e","emptyDisk":{"capacity":"2Gi"}},{"name":"none"},{"name":"two","secret":{"secretName":"s"},"configMap":{"name":"m"}}],
      "networks":[{"name":"default","pod":{}}],"terminationGracePeriodSeconds":0},
    "status":{"phase":"Running","conditions":[{"type":"Ready","status":"True"}]}})");
  REQUIRE(vmi.ok());
  CHECK(vmi->key() == "ns/vm");
  CHECK(vmi->deleting());
  CHECK(vmi->metadata.generation == 3);
  CHECK(guest_memory_bytes(vmi->spec.domain) == 64000000);
  CHECK(cpu_topology(vmi->spec.domain).vcpus() == 2);
  CHECK(vmi->spec.domain.features.acpi == true);
  CHECK(vmi->spec.domain.features.apic == false);
  CHECK(vmi->spec.domain.features.hyperv.at("relaxed"));
  REQUIRE(vmi->spec.domain.devices.disks.size() == 2);
  CHECK(vmi->spec.domain.devices.disks[0].boot_order == 1u);
  CHECK(vmi->spec.domain.devices.disks[1].kind == DiskKind::cdrom);
  CHECK(vmi->spec.domain.devices.disks[1].readonly);
  CHECK(vmi->spec.domain.devices.interfaces[0].binding == "masquerade");
  CHECK(vmi->spec.domain.devices.watchdog->action == "poweroff");
  CHECK(vmi->spec.domain.devices.rng);
  REQUIRE(vmi->volume("e"));
  CHECK(vmi->volume("e")->empty_disk_capacity.value() == 2147483648);
  CHECK(vmi->volume("none")->sources == 0);
  CHECK(vmi->volume("two")->sources == 2);
  CHECK(vmi->spec.termination_grace_period_seconds == 0);
  REQUIRE(vmi->condition("Ready"));
  CHECK(vmi->condition("Paused") == nullptr);
}

TEST_CASE("a wrong type is InvalidArgument and names the field") {
  struct Case { const char* name; const char* in; const char* want; };
  const Case cases[] = {
      {"object", R"({"spec":{"domain":{"cpu":3}}})", "spec.domain.cpu: must be an object"},
      {"number", R"({"spec":{"domain":{"cpu":{"cores":"2"}}}})", "spec.domain.cpu.cores: must be a whole number"},
      {"negative", R"({"spec":{"domain":{"cpu":{"cores":-2}}}})", "spec.domain.cpu.cores: must be a whole number"},
      {"huge", R"({"spec":{"terminationGracePeriodSeconds":18446744073709551615}})",
       "spec.terminationGracePeriodSeconds: must be a whole number"},
      {"list", R"({"spec":{"volumes":{}}})", "spec.volumes: must be a list"},
      {"item", R"({"spec":{"volumes":[{"name":"a"},7]}})", "spec.volumes[1]: must be an object"},
      {"flag", R"({"spec":{"domain":{"devices":{"disks":[{"disk":{"readonly":"yes"}}]}}}})",
       "spec.domain.devices.disks[0].disk.readonly: must be true or false"},
      {"quantity", R"({"spec":{"domain":{"memory":{"guest":"much"}}}})", "spec.domain.memory.guest: "},
      {"label", R"({"metadata":{"labels":{"a":1}}})", "metadata.labels: the value of a must be a string"},
  };
  for (auto& c : cases) {
    DYNAMIC_SECTION(c.name) {
      auto vmi = decode(c.in);
      REQUIRE_FALSE(vmi.ok());
      CHECK(vmi.error().code == Code::InvalidArgument);
      CHECK_THAT(vmi.error().message, Catch::Matchers::StartsWith(c.want));
    }
  }
}

TEST_CASE("memory and processors have several sources, in this order") {
  struct Case { const char* name; const char* in; std::int64_t memory; std::uint32_t vcpus; };
  const Case cases[] = {
      {"guest first", R"({"memory":{"guest":"128Mi"},"resources":{"requests":{"memory":"64Mi"}}})", 134217728, 1},
      {"limits last", R"({"resources":{"limits":{"memory":"64Mi","cpu":"2500m"}}})", 67108864, 3},
      {"topology before requests", R"({"cpu":{"sockets":2,"threads":2},"resources":{"requests":{"cpu":"7"}}})", 0, 4},
      {"nothing", R"({})", 0, 1},
  };
  for (auto& c : cases) {
    DYNAMIC_SECTION(c.name) {
      auto spec = decode_instance_spec(Json{{"domain", Json::parse(c.in)}});
      REQUIRE(spec.ok());
      CHECK(guest_memory_bytes(spec->domain) == c.memory);
      CHECK(cpu_topology(spec->domain).vcpus() == c.vcpus);
    }
  }
}
