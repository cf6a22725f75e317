// A real guest with its disk, seed and network. Needs a demo disk and a prepared network namespace, so ctest
// does not run it by itself: tests/integration/launcher/with_network DISK
#include <catch2/catch.hpp>

#include <csignal>
#include <cstdlib>
#include <filesystem>

#include "api/names.hpp"
#include "pod.hpp"

using namespace nodevirt;
using namespace nodevirt::test;

TEST_CASE("the demo guest boots in 64M, takes its lease and its seed, and shuts down by ACPI", "[.guest]") {
  const char* demo = std::getenv("NV_DEMO_DISK");
  REQUIRE(demo);
  Pod pod({"--grace-period", "60"});
  auto disk = pod.path(api::kContainerDisksDir) / "root/disk/demo.qcow2";
  std::filesystem::create_directories(disk.parent_path());
  std::filesystem::copy_file(demo, disk);
  std::filesystem::permissions(disk, std::filesystem::perms::owner_read | std::filesystem::perms::others_read);
  auto request = pod.sync_request(Json::parse(R"({"spec":{"domain":{"resources":{"requests":{"memory":"64M"}},
      "machine":{"type":""},"devices":{"disks":[{"name":"root","disk":{"bus":"virtio"}},{"name":"seed","disk":{"bus":"virtio"}}],
      "interfaces":[{"name":"default","masquerade":{}}]}},"networks":[{"name":"default","pod":{}}],
    "volumes":[{"name":"root","containerDisk":{"image":"demo"}},
      {"name":"seed","cloudInitNoCloud":{"userDataBase64":"IyEvYmluL3NoCgplY2hvICdwcmludGVkIGZyb20gY2xvdWQtaW5pdCB1c2VyZGF0YScK"}}]}})"));
  auto* i = request.mutable_node()->add_interfaces();
  i->set_name("default");
  i->set_tap("tap0");
  i->set_mac("02:00:00:12:34:56");
  i->set_mtu(1480);
  i->set_bridge("k6t-eth0");
  i->set_guest_ip("10.0.2.2");
  i->set_prefix(24);
  i->set_gateway("10.0.2.1");
  i->add_dns("10.96.0.10");
  i->add_search("default.svc.cluster.local");
  i->set_hostname("vm");
  auto watch = pod.client().watch();
  auto state = pod.wait(pod.client().sync(request));
  INFO((state.ok() ? "" : state.error().message));
  REQUIRE(state.ok());

  auto log = pod.path(api::kPrivateDir) / Pod::kUid / "virt-serial0-log";
  std::string console;
  bool there = false;
  for (int tries = 0; tries < 4 && !there; ++tries)
    there = Pod::eventually([&] {
      console = read_file(log).value_or("");
      return console.find("login:") != std::string::npos && console.find("printed from cloud-init userdata") != std::string::npos;
    });
  INFO(console);
  REQUIRE(there);
  CHECK(Pod::eventually([&] { return pod.state().interfaces(0).source() == "dhcp"; }));
  CHECK(std::system("ping -c 1 -W 5 10.0.2.2 >/dev/null") == 0);

  pod.signal_monitor(SIGTERM);
  CHECK(pod.await_event(*watch, "Stopped").detail() == "Shutdown");
  CHECK(pod.exit_code() == 0);
}
