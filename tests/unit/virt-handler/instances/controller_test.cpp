// One instance's way through virt-handler, against an API server in memory and a launcher in the test's hands.
#include <catch2/catch.hpp>

#include <boost/asio/io_context.hpp>

#include "pkg/base/clock.hpp"
#include "pkg/base/file.hpp"
#include "tests/support/memory_api.hpp"
#include "virt-handler/instances/controller.hpp"

using namespace nodevirt;
using namespace nodevirt::virt_handler;

namespace {

const k8s::Resource& kVmis = k8s::resources::kVirtualMachineInstances;

class FakeLauncher final : public rpc::LauncherClient {
 public:
  std::vector<std::string> calls;
  launcher::v1::DomainState domain;
  std::optional<Error> sync_error;
  std::function<void(FakeLauncher&, rpc::DomainCommand)> on_command;

  Awaitable<Result<rpc::v1::InfoResponse>> info() override { co_return rpc::v1::InfoResponse(); }
  Awaitable<Result<rpc::v1::DomainState>> sync(rpc::v1::SyncRequest request) override {
    calls.push_back("sync");
    last_sync = request;
    if (sync_error) co_return *sync_error;
    domain.set_present(true);
    domain.set_state("Running");
    domain.set_reason("Booted");
    co_return domain;
  }
  Awaitable<Result<void>> command(rpc::DomainCommand command, rpc::v1::DomainRequest) override {
    calls.push_back(std::string(rpc::to_string(command)));
    if (on_command) on_command(*this, command);
    co_return Result<void>{};
  }
  Awaitable<Result<rpc::v1::DomainState>> get_domain(rpc::v1::DomainRequest) override { co_return domain; }
  Awaitable<Result<rpc::v1::DomainStats>> get_stats(rpc::v1::DomainRequest) override { co_return rpc::v1::DomainStats(); }
  Awaitable<Result<rpc::v1::Screenshot>> get_screenshot(rpc::v1::DomainRequest) override { co_return rpc::v1::Screenshot(); }
  Awaitable<Result<rpc::v1::GuestInfo>> get_guest_info(rpc::v1::DomainRequest) override { co_return rpc::v1::GuestInfo(); }
  Awaitable<Result<void>> renew_fence(std::uint64_t) override { co_return Result<void>{}; }
  Awaitable<Result<void>> ping() override { co_return Result<void>{}; }
  std::unique_ptr<rpc::DomainWatch> watch() override { return nullptr; }
  rpc::v1::SyncRequest last_sync;
};

Awaitable<Result<std::shared_ptr<const api::Instance>>> no_instance(std::string, std::string, std::string) {
  co_return Error{Code::NotFound, "not asked for here"};
}
Awaitable<bool> without_kvm() { co_return false; }
void end_with(FakeLauncher& launcher, std::string reason) {
  launcher.domain.set_state("Shutoff");
  launcher.domain.set_reason(std::move(reason));
}

struct Scene {
  boost::asio::io_context io;
  ManualClock clock{*parse_time("2026-01-01T00:00:00Z")};
  std::shared_ptr<testing::MemoryApi> api = std::make_shared<testing::MemoryApi>();
  client::Client client{api};
  runtime::Informer<InstanceObject> instances{client, clock, {.resource = kVmis}};
  runtime::Informer<PodObject> pods{client, clock, {.resource = k8s::resources::kPods}};
  runtime::EventRecorder events{io.get_executor(), client, clock, "virt-handler", "node1"};
  TempDir dir{"vh"};
  InstanceController* woken = nullptr;
  Launchers launchers{{.executor = io.get_executor(), .clock = clock, .kubelet_root = dir.path(),
                       .changed = [this](std::string key) { if (woken) woken->enqueue(std::move(key)); }, .instance = no_instance}};
  bool fence_entered = false;
  InstanceController controller{{client, clock, instances, pods, launchers, events, "node1", without_kvm, [this](const std::string&) { return fence_entered; }}};
  StopSource stop;
  std::shared_ptr<FakeLauncher> launcher = std::make_shared<FakeLauncher>();
  const std::string uid = "11111111-2222-3333-4444-555555555555";

  explicit Scene(std::string phase = "Scheduled") {
    woken = &controller;
    api->put(kVmis, {{"metadata", {{"name", "vm1"}, {"namespace", "default"}, {"uid", uid}, {"finalizers", {"keep"}}}},
                     {"spec", {{"terminationGracePeriodSeconds", 10}, {"domain", {{"devices", Json::object()}}}}},
                     {"status", {{"phase", phase}, {"nodeName", "node1"}}}});
    instances.on_change([this](const auto& old, const auto& now) { controller.enqueue(now ? now->meta.key() : old->meta.key()); });
    spawn(io.get_executor(), instances.run(stop.get_token()), "instances");
    spawn(io.get_executor(), controller.run(stop.get_token()), "controller");
    add_pod();
    settle();
  }
  ~Scene() {
    stop.request_stop();
    launchers.stop();
    settle();
  }
  void add_pod() {
    Json pod{{"metadata", {{"name", "virt-launcher-vm1"}, {"namespace", "default"}, {"uid", "aaaa"}, {"labels", {{"kubevirt.io/created-by", uid}}},
                           {"annotations", {{"kubevirt.io/domain", "vm1"}}}}},
             {"spec", {{"nodeName", "node1"}}}, {"status", {{"phase", "Running"}, {"podIP", "10.0.0.9"}}}};
    api->put(k8s::resources::kPods, pod);
    auto decoded = PodObject::decode(pod);
    REQUIRE(decoded.ok());
    launchers.pod_changed(nullptr, std::make_shared<const PodObject>(std::move(*decoded)));
  }
  Launcher& known() { return *launchers.of_instance(uid); }
  /// The launcher's stream opens and tells what it has.
  void connect() {
    known().client = launcher;
    known().connected = true;
    known().domain = launcher->domain;
    known().network = NetworkState::Ready;
    wake();
  }
  void told() {
    known().domain = launcher->domain;
    wake();
  }
  void wake() {
    controller.enqueue("default/vm1");
    settle();
  }
  void settle() {
    io.restart();
    while (io.poll() > 0) {}
  }
  void pass(Clock::Duration time) {
    clock.advance(time);
    settle();
  }
  void remove() {
    Json object = *api->get(kVmis, "default", "vm1");
    object["metadata"]["deletionTimestamp"] = format_time(clock.wall());
    api->put(kVmis, object);
    settle();
  }
  std::string status(std::string member = "phase") { return string_at(*api->get(kVmis, "default", "vm1"), {"status", member}); }
  long patches() const { return std::count(api->requests.begin(), api->requests.end(), "PATCH /apis/kubevirt.io/v1/namespaces/default/virtualmachineinstances/vm1"); }
};

}  // namespace

TEST_CASE("handed over, started, running: one call, one patch") {
  Scene scene;
  CHECK(scene.launcher->calls.empty());
  scene.connect();
  CHECK(scene.launcher->calls == std::vector<std::string>{"sync"});
  CHECK(scene.status() == "Running");
  CHECK(scene.patches() == 1);
  auto sent = parse_json(scene.launcher->last_sync.vmi_json());
  REQUIRE(sent.ok());
  CHECK(string_at(*sent, {"metadata", "uid"}) == scene.uid);
  scene.told();
  scene.told();
  CHECK(scene.launcher->calls.size() == 1);
  CHECK(scene.patches() == 1);
}

TEST_CASE("a guest with a fence starts once that is in force, and only if its instance still waits for it") {
  Scene scene;
  Json object = *scene.api->get(kVmis, "default", "vm1");
  object["metadata"]["annotations"]["nodevirt.io/fence-at-start"] = "30";
  scene.api->put(kVmis, object);
  scene.settle();
  scene.connect();
  scene.pass(10s);
  CHECK(scene.launcher->calls.empty());
  SECTION("in force") {
    scene.fence_entered = true;
    scene.pass(100ms);
    CHECK(scene.launcher->calls == std::vector<std::string>{"sync"});
    CHECK(scene.status() == "Running");
  }
  SECTION("too late: the instance was given up, which the watch has not told yet") {
    scene.api->hold_watches = true;
    object = *scene.api->get(kVmis, "default", "vm1");
    object["status"]["phase"] = "Failed";
    scene.api->put(kVmis, object);
    scene.fence_entered = true;
    for (int i = 0; i < 20; ++i) scene.pass(100ms);
    CHECK(scene.launcher->calls.empty());
  }
}

TEST_CASE("a start that fails is tried again with a growing delay, and mending the cause is enough") {
  Scene scene;
  scene.launcher->sync_error = Error{Code::InvalidArgument, "BadImage", "the image holds no disk"};
  scene.connect();
  CHECK(scene.status() == "Scheduled");
  const Json object = *scene.api->get(kVmis, "default", "vm1");
  CHECK(string_at(object["status"]["conditions"][0], {"message"}) == "the image holds no disk");
  // The launcher's events of the failed start do not start it again before its time.
  scene.told();
  scene.told();
  CHECK(scene.launcher->calls.size() == 1);
  scene.pass(300ms);
  CHECK(scene.launcher->calls.size() == 2);
  scene.pass(300ms);
  CHECK(scene.launcher->calls.size() == 2);
  scene.launcher->sync_error.reset();
  scene.pass(1s);
  CHECK(scene.status() == "Running");
}

TEST_CASE("a race that was lost is run again") {
  Scene scene;
  int left = 1;
  scene.api->fault = [&left](const net::Request& request) -> std::optional<Error> {
    if (request.method != "PATCH" || left-- <= 0) return std::nullopt;
    return Error{Code::InvalidArgument, "Invalid", "the server rejected our request due to an error in our request"};
  };
  scene.connect();
  scene.pass(1s);
  CHECK(scene.status() == "Running");
  CHECK(scene.launcher->calls.size() == 1);
}

TEST_CASE("an old event does not end a running instance") {
  Scene scene;
  scene.connect();
  REQUIRE(scene.status() == "Running");
  scene.known().domain->set_state("Shutoff");
  scene.known().domain->set_reason("Unknown");
  scene.wake();
  CHECK(scene.status() == "Running");
}

TEST_CASE("the guest powers off: final phase first, then the domain goes") {
  Scene scene;
  scene.connect();
  end_with(*scene.launcher, "Shutdown");
  scene.told();
  CHECK(scene.status() == "Succeeded");
  scene.settle();
  CHECK(scene.launcher->calls == std::vector<std::string>{"sync", std::string(rpc::to_string(rpc::DomainCommand::Delete))});
}

TEST_CASE("deleted: the button, then the time, then the plug") {
  Scene scene;
  scene.connect();
  scene.launcher->calls.clear();
  scene.launcher->on_command = [](FakeLauncher& launcher, rpc::DomainCommand command) {
    if (command == rpc::DomainCommand::Shutdown) launcher.domain.set_shutdown_requested(true);
    if (command == rpc::DomainCommand::Kill) end_with(launcher, "Destroyed");
  };
  scene.remove();
  scene.told();
  CHECK(scene.launcher->calls == std::vector<std::string>{std::string(rpc::to_string(rpc::DomainCommand::Shutdown))});
  scene.pass(9s);
  CHECK(scene.launcher->calls.size() == 1);
  CHECK(scene.status() == "Running");
  scene.pass(2s);
  REQUIRE(scene.launcher->calls.size() >= 2);
  CHECK(scene.launcher->calls[1] == rpc::to_string(rpc::DomainCommand::Kill));
  CHECK(scene.status() == "Failed");
  CHECK(scene.status("reason") == "GracePeriodExceeded");
}

TEST_CASE("a new virt-handler goes on where the old one was killed") {
  SECTION("after the start, before the phase was written") {
    Scene scene;
    scene.launcher->domain.set_present(true);
    scene.launcher->domain.set_state("Running");
    scene.connect();
    CHECK(scene.launcher->calls.empty());
    CHECK(scene.status() == "Running");
  }
  SECTION("after the button was pressed") {
    Scene scene("Running");
    scene.launcher->domain.set_present(true);
    scene.launcher->domain.set_state("Running");
    scene.launcher->domain.set_shutdown_requested(true);
    scene.remove();
    scene.connect();
    CHECK(scene.launcher->calls.empty());
  }
  SECTION("the pod went away meanwhile") {
    Scene scene("Running");
    scene.api->erase(k8s::resources::kPods, "default", "virt-launcher-vm1");
    auto pod = scene.known().pod;
    scene.launchers.pod_changed(pod, nullptr);
    scene.settle();
    CHECK(scene.status() == "Failed");
    CHECK(scene.status("reason") == "PodGone");
  }
}

TEST_CASE("a guest whose instance is gone is switched off") {
  Scene scene;
  scene.connect();
  scene.launcher->calls.clear();
  scene.api->erase(kVmis, "default", "vm1");
  scene.settle();
  CHECK(scene.launcher->calls == std::vector<std::string>{std::string(rpc::to_string(rpc::DomainCommand::Kill))});
}

TEST_CASE("an instance of another node is left alone") {
  Scene scene;
  Json object = *scene.api->get(kVmis, "default", "vm1");
  object["status"]["nodeName"] = "node2";
  scene.api->put(kVmis, object);
  scene.settle();
  scene.connect();
  CHECK(scene.launcher->calls.empty());
  CHECK(scene.patches() == 0);
}
