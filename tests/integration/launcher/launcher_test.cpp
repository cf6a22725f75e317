// virt-launcher and its monitor with a real libvirtd and a real QEMU; the firmware is guest enough.
#include <catch2/catch.hpp>

#include <csignal>
#include <ctime>
#include <sys/stat.h>

#include "api/names.hpp"
#include "pod.hpp"

using namespace nodevirt;
using namespace nodevirt::test;
using rpc::DomainCommand;

namespace {
bool socket_at(const std::filesystem::path& p) {
  std::error_code ec;
  return std::filesystem::is_socket(p, ec);
}
std::string launcher_dir(std::string_view dir, std::string_view name) { return std::string(dir) + "/" + std::string(name); }
}  // namespace

TEST_CASE("Sync boots a domain, is idempotent, and Kill ends the pod with code 0") {
  Pod pod;
  auto watch = pod.client().watch();
  auto state = pod.sync();
  INFO((state.ok() ? "" : state.error().message));
  REQUIRE(state.ok());
  CHECK(state->state() == "Running");
  CHECK(state->domain_type() == "qemu");
  CHECK_THAT(state->machine(), Catch::Matchers::Contains("q35"));
  CHECK(state->qemu_pid() == pod.child("qemu-system"));
  CHECK(socket_at(pod.path(launcher_dir(api::kPrivateDir, std::string(Pod::kUid) + "/virt-serial0"))));
  CHECK(socket_at(pod.path(launcher_dir(api::kPrivateDir, std::string(Pod::kUid) + "/virt-vnc"))));
  pod.await_event(*watch, "Started");

  auto pid = rpc::peer_pid(pod.path(api::kSocketsDir) / api::kLauncherSocket);
  REQUIRE(pid.ok());
  CHECK(*pid == pod.child("virt-launcher"));

  auto again = pod.sync();
  INFO((again.ok() ? "" : again.error().message));
  REQUIRE(again.ok());
  CHECK(again->qemu_pid() == state->qemu_pid());

  REQUIRE(pod.wait(pod.client().command(DomainCommand::Pause, pod.domain_request())).ok());
  CHECK(pod.state().state() == "Paused");
  REQUIRE(pod.wait(pod.client().command(DomainCommand::Unpause, pod.domain_request())).ok());
  CHECK(pod.state().state() == "Running");
  CHECK(pod.wait(pod.client().get_stats(pod.domain_request()))->vcpus_size() == 1);
  auto picture = pod.wait(pod.client().get_screenshot(pod.domain_request()));
  REQUIRE(picture.ok());
  CHECK(picture->ppm().size() > 1000);
  CHECK(pod.wait(pod.client().get_guest_info(pod.domain_request())).error().code == Code::FailedPrecondition);

  REQUIRE(pod.wait(pod.client().command(DomainCommand::Kill, pod.domain_request())).ok());
  auto last = pod.await_event(*watch, "Stopped");
  CHECK(last.detail() == "Destroyed");
  CHECK(pod.sync().error().code == Code::FailedPrecondition);
  CHECK(pod.exit_code() == 0);
}

TEST_CASE("requests for another instance are refused") {
  Pod pod;
  auto other = pod.domain_request();
  other.set_uid("another");
  CHECK(pod.wait(pod.client().command(DomainCommand::Kill, other)).error().code == Code::FailedPrecondition);
  auto sync = pod.sync({{"metadata", {{"uid", "another"}}}});
  CHECK(sync.error().code == Code::FailedPrecondition);
  auto bad = pod.sync({{"spec", {{"domain", {{"cpu", 7}}}}}});
  CHECK(bad.error().code == Code::InvalidArgument);
  CHECK_THAT(bad.error().message, Catch::Matchers::Contains("spec.domain.cpu"));
}

TEST_CASE("a guest outlives kill -9 of the launcher and of libvirtd") {
  Pod pod;
  REQUIRE(pod.sync().ok());
  pid_t qemu = pod.child("qemu-system");
  REQUIRE(qemu > 0);
  SECTION("the launcher") {
    pid_t launcher = pod.child("virt-launcher");
    auto cut = pod.client().watch();
    ::kill(launcher, SIGKILL);
    for (;;) {  // whoever watched is told that it ended
      auto next = cut->next();
      auto event = pod.wait(std::move(next));
      if (event.ok()) continue;
      CHECK(event.error().code == Code::Unavailable);
      break;
    }
    REQUIRE(Pod::eventually([&] { return pod.child("virt-launcher") > 0 && pod.child("virt-launcher") != launcher; }));
    pod.forget_client();
  }
  SECTION("libvirtd") {
    pid_t libvirtd = pod.child("libvirtd");
    ::kill(libvirtd, SIGKILL);
    REQUIRE(Pod::eventually([&] { return pod.child("libvirtd") > 0 && pod.child("libvirtd") != libvirtd; }));
  }
  SECTION("both") {
    ::kill(pod.child("virt-launcher"), SIGKILL);
    ::kill(pod.child("libvirtd"), SIGKILL);
    pod.forget_client();
  }
  REQUIRE(Pod::eventually([&] { return pod.state().state() == "Running"; }));
  CHECK(pod.state().qemu_pid() == qemu);
  auto again = pod.sync();
  INFO((again.ok() ? "" : again.error().message));
  REQUIRE(again.ok());
  CHECK(again->qemu_pid() == qemu);
  // The takers-over still end it in order.
  auto watch = pod.client().watch();
  REQUIRE(pod.wait(pod.client().command(DomainCommand::Kill, pod.domain_request())).ok());
  CHECK(pod.exit_code() == 0);
}

TEST_CASE("a launcher killed right after the start finds the guest running") {
  Pod pod({}, "NODEVIRT_FAILPOINTS=launcher-after-domain-started=kill");
  auto lost = pod.sync();
  CHECK(lost.error().code == Code::Unavailable);
  pod.forget_client();
  REQUIRE(Pod::eventually([&] { return pod.state().state() == "Running"; }));
  auto again = pod.sync();
  INFO((again.ok() ? "" : again.error().message));
  REQUIRE(again.ok());
  CHECK(again->qemu_pid() == pod.child("qemu-system"));
  auto watch = pod.client().watch();
  REQUIRE(pod.wait(pod.client().command(DomainCommand::Kill, pod.domain_request())).ok());
  CHECK(pod.exit_code() == 0);
}

TEST_CASE("a QEMU that crashes ends the pod with code 1, and the watcher hears why") {
  Pod pod;
  auto watch = pod.client().watch();
  REQUIRE(pod.sync().ok());
  ::kill(pod.child("qemu-system"), SIGSEGV);
  auto last = pod.await_event(*watch, "Stopped");
  CHECK(last.detail() == "Crashed");
  CHECK(pod.exit_code() == 1);
}

TEST_CASE("a QEMU that crashes while libvirtd and the launcher are down is noticed") {
  Pod pod;
  REQUIRE(pod.sync().ok());
  pid_t qemu = pod.child("qemu-system");
  ::kill(pod.child("libvirtd"), SIGKILL);
  ::kill(pod.child("virt-launcher"), SIGKILL);
  ::kill(qemu, SIGKILL);
  CHECK(pod.exit_code() == 1);
}

TEST_CASE("SIGTERM: a guest that ignores the power button is ended after the grace period") {
  Pod pod({"--grace-period", "1"});
  auto watch = pod.client().watch();
  REQUIRE(pod.sync().ok());
  pod.signal_monitor(SIGTERM);
  CHECK(pod.await_event(*watch, "ShutdownRequested").state().shutdown_requested());
  CHECK(pod.exit_code() == 0);
}

TEST_CASE("SIGTERM before a guest was started ends the pod at once") {
  Pod pod;
  pod.client();
  pod.signal_monitor(SIGTERM);
  CHECK(pod.exit_code() == 0);
}

TEST_CASE("without a guest the pod ends after --qemu-timeout") {
  Pod pod({"--qemu-timeout", "1"});
  CHECK(pod.exit_code() == 3);
}

TEST_CASE("the fence kills QEMU when it is not renewed, also with the launcher dead") {
  Pod pod;
  REQUIRE(pod.sync().ok());
  timespec now{};
  ::clock_gettime(CLOCK_BOOTTIME, &now);
  auto in = [&](long ms) { return static_cast<std::uint64_t>(now.tv_sec) * 1000 + static_cast<std::uint64_t>(now.tv_nsec / 1000000 + ms); };
  REQUIRE(pod.wait(pod.client().renew_fence(in(60000))).ok());
  REQUIRE(pod.wait(pod.client().renew_fence(in(1000))).ok());
  ::kill(pod.child("virt-launcher"), SIGSTOP);
  CHECK(Pod::eventually([&] { return pod.child("qemu-system") == 0; }));
  ::kill(pod.child("virt-launcher"), SIGCONT);
  CHECK(pod.exit_code() == 4);
}

TEST_CASE("a fence that passed is final: no guest can follow") {
  Pod pod;
  timespec now{};
  ::clock_gettime(CLOCK_BOOTTIME, &now);
  auto passed = static_cast<std::uint64_t>(now.tv_sec) * 1000 - 1000;
  REQUIRE(pod.wait(pod.client().renew_fence(passed + 61000)).ok());
  static_cast<void>(pod.wait(pod.client().renew_fence(passed)));  // the pod may end before it answers
  CHECK(pod.exit_code() == 4);
}

TEST_CASE("a start that fails says why, leaves nothing, and can be tried again") {
  Pod pod;
  // Refused by libvirt when it is defined, by libvirt when it is started, and by QEMU itself.
  struct Case { const char *spec, *words; };
  for (auto& c : {Case{R"({"domain": {"machine": {"type": "pc-q35-99.9"}}})", "pc-q35-99.9"},
                  Case{R"({"domain": {"cpu": {"model": "NoSuchModel"}}})", "NoSuchModel"},
                  Case{R"({"domain": {"devices": {"disks": [{"name": "d", "disk": {"bus": "virtio"},
                                      "blockSize": {"custom": {"logical": 4096, "physical": 512}}}]}},
                           "volumes": [{"name": "d", "emptyDisk": {"capacity": "1Mi"}}]})", "logical_block_size"}}) {
    auto bad = pod.sync({{"spec", Json::parse(c.spec)}});
    REQUIRE_FALSE(bad.ok());
    CHECK_THAT(bad.error().message, Catch::Matchers::Contains(c.words));
    CHECK_FALSE(pod.state().present());
  }
  auto good = pod.sync();
  REQUIRE(good.ok());
  CHECK(good->state() == "Running");
}

TEST_CASE("volumes: container disk, cloud-init, empty disk, host disk, and what is wrong with them") {
  Pod pod;
  auto disk = pod.path(api::kContainerDisksDir) / "root/disk/demo.img";
  std::filesystem::create_directories(disk.parent_path());
  REQUIRE(write_file_atomic(disk, std::string(1 << 20, 'x')).ok());
  Json spec = Json::parse(R"({"spec":{"domain":{"devices":{"disks":[
      {"name":"root","disk":{"bus":"virtio"}},{"name":"seed","disk":{"bus":"virtio"}},
      {"name":"scratch","disk":{"bus":"sata"}},{"name":"cd","cdrom":{"bus":"sata"}}]}},
    "volumes":[{"name":"root","containerDisk":{"image":"i"}},
      {"name":"seed","cloudInitNoCloud":{"userDataBase64":"IyEvYmluL3NoCg=="}},
      {"name":"cd","cloudInitConfigDrive":{"userData":"#cloud-config"}},
      {"name":"scratch","emptyDisk":{"capacity":"16Mi"}}]}})");
  SECTION("they are there") {
    auto state = pod.sync(spec);
    INFO((state.ok() ? "" : state.error().message));
    REQUIRE(state.ok());
    auto xml = pod.state().domain_xml();
    for (const char* part : {"disks/root.qcow2", "demo.img", "cloud-init/seed.iso", "empty/scratch.qcow2", "cloud-init/cd.iso"})
      CHECK_THAT(xml, Catch::Matchers::Contains(part));
  }
  SECTION("no disk in the image") {
    std::filesystem::remove(disk);
    auto state = pod.sync(spec);
    REQUIRE_FALSE(state.ok());
    CHECK_THAT(state.error().message, Catch::Matchers::Contains("volume root: the image's folder /disk holds no file"));
  }
  SECTION("a qcow2 with a backing file") {
    std::string header = std::string("QFI\xfb\0\0\0\3\0\0\0\0\0\0\1\0\0\0\0\x0b", 20) + std::string(200, 0);
    REQUIRE(write_file_atomic(disk, header).ok());
    auto state = pod.sync(spec);
    REQUIRE_FALSE(state.ok());
    CHECK(state.error().code == Code::InvalidArgument);
    CHECK_THAT(state.error().message, Catch::Matchers::Contains("backing file"));
  }
}
