// Two nodes' migrations against one API server in memory, with launchers in the test's hands and a real link between
// the nodes.
#pragma once
#include <catch2/catch.hpp>

#include <deque>

#include <boost/asio/steady_timer.hpp>

#include "api/migration_progress.hpp"
#include "api/names.hpp"
#include "pkg/base/file.hpp"
#include "pkg/rpc/migration_client.hpp"
#include "pkg/runtime/signal.hpp"
#include "tests/support/memory_api.hpp"
#include "virt-handler/migration/migrations.hpp"

namespace nodevirt::virt_handler::migration::test {

namespace v1 = launcher::v1;
using Kind = v1::MigrationEvent;

/// The guest as both pods see it.
struct Guest {
  bool at_source = true, at_target = false, loaded = false;
  bool twice() const { return at_source && at_target; }
};

class FakeLauncher final : public rpc::LauncherClient, public rpc::MigrationClient {
 public:
  explicit FakeLauncher(Guest& guest) : guest_(guest) {}
  std::vector<std::string> calls;
  std::vector<v1::MigrationEvent> told;
  std::optional<Error> prepare_error, migrate_error, release_error;
  bool kept = false;
  v1::MigrateRequest migrate_request;
  v1::MigrationRequest resume_request;
  std::function<void()> on_migrate;

  /// What release tells of the job, if it tells anything.
  std::optional<v1::MigrationSample> last_sample;

  void tell(Kind::Kind kind, std::string error = "", const v1::MigrationSample& sample = {}) {
    v1::MigrationEvent event;
    event.set_kind(kind);
    *event.mutable_sample() = sample;
    event.set_error(std::move(error));
    told.push_back(event);
    changed_.notify_all();
  }
  int count(const std::string& call) const { return static_cast<int>(std::count(calls.begin(), calls.end(), call)); }

  Awaitable<Result<v1::PrepareTargetResponse>> prepare_target(v1::PrepareTargetRequest) override {
    calls.push_back("prepare");
    if (prepare_error) co_return *prepare_error;
    v1::PrepareTargetResponse out;
    out.set_memory_socket("/var/run/kubevirt/migrationproxy/memory.sock");
    out.set_disk_socket("/var/run/kubevirt/migrationproxy/disk.sock");
    out.add_copied_disks("vda");
    co_return out;
  }
  Awaitable<Result<v1::DomainState>> resume_target(v1::MigrationRequest request) override {
    calls.push_back("resume");
    resume_request = request;
    if (!guest_.loaded) co_return Error{Code::FailedPrecondition, "NotLoaded", "nothing came in"};
    guest_.at_target = true;
    tell(Kind::RESUMED);
    v1::DomainState out;
    out.set_present(true);
    out.set_state("Running");
    co_return out;
  }
  Awaitable<Result<void>> abandon_target(v1::MigrationRequest) override {
    calls.push_back("abandon");
    guest_.loaded = false;
    co_return Result<void>{};
  }
  Awaitable<Result<void>> migrate(v1::MigrateRequest request) override {
    calls.push_back("migrate");
    migrate_request = request;
    if (migrate_error) co_return *migrate_error;
    tell(Kind::SAMPLE);
    if (on_migrate) on_migrate();
    co_return Result<void>{};
  }
  Awaitable<Result<void>> steer(v1::SteerRequest) override { co_return Result<void>{}; }
  Awaitable<Result<void>> cancel(v1::MigrationRequest) override {
    calls.push_back("cancel");
    tell(Kind::ENDED, "the job was cancelled");
    co_return Result<void>{};
  }
  Awaitable<Result<v1::ReleaseResponse>> release_source(v1::MigrationRequest) override {
    calls.push_back("release");
    if (release_error) {
      Error error = *release_error;
      release_error.reset();
      co_return error;
    }
    v1::ReleaseResponse out;
    out.set_released(!kept);
    if (!kept) guest_.at_source = false;
    if (!kept && last_sample) tell(Kind::RELEASED, "", *last_sample);
    co_return out;
  }
  Awaitable<Result<v1::DirtyRate>> get_dirty_rate(v1::DirtyRateRequest) override { co_return v1::DirtyRate(); }
  std::unique_ptr<rpc::MigrationWatch> watch_migration(v1::WatchMigrationRequest) override { return std::make_unique<Watch>(*this); }

  rpc::MigrationClient* migration() override { return this; }
  Awaitable<Result<v1::InfoResponse>> info() override { co_return v1::InfoResponse(); }
  Awaitable<Result<v1::DomainState>> sync(v1::SyncRequest) override { co_return v1::DomainState(); }
  Awaitable<Result<void>> command(rpc::DomainCommand command, v1::DomainRequest) override {
    calls.push_back(std::string(rpc::to_string(command)));
    co_return Result<void>{};
  }
  Awaitable<Result<v1::DomainState>> get_domain(v1::DomainRequest) override { co_return v1::DomainState(); }
  Awaitable<Result<v1::DomainStats>> get_stats(v1::DomainRequest) override { co_return v1::DomainStats(); }
  Awaitable<Result<v1::Screenshot>> get_screenshot(v1::DomainRequest) override { co_return v1::Screenshot(); }
  Awaitable<Result<v1::GuestInfo>> get_guest_info(v1::DomainRequest) override { co_return v1::GuestInfo(); }
  Awaitable<Result<void>> renew_fence(std::uint64_t) override { co_return Result<void>{}; }
  Awaitable<Result<void>> ping() override { co_return Result<void>{}; }
  std::unique_ptr<rpc::DomainWatch> watch() override { return nullptr; }

 private:
  struct Watch final : rpc::MigrationWatch {
    explicit Watch(FakeLauncher& l) : launcher(l), next_at(l.told.empty() ? 0 : l.told.size() - 1) {}
    FakeLauncher& launcher;
    std::size_t next_at;
    bool first = true;
    StopSource cancelled;
    Awaitable<Result<v1::MigrationEvent>> next() override {
      if (std::exchange(first, false) && launcher.told.empty()) co_return v1::MigrationEvent();  // NONE
      StopToken token = cancelled.get_token();
      while (next_at >= launcher.told.size()) {
        if (token.stop_requested()) co_return Error{Code::Cancelled, "cancelled"};
        co_await launcher.changed_.wait(token);
      }
      co_return launcher.told[next_at++];
    }
    void cancel() override { cancelled.request_stop(); }
  };
  Guest& guest_;
  runtime::Signal changed_;
};

/// One node: its launchers and migrations.
struct Node {
  Node(boost::asio::io_context& io, client::Client client, std::string name, Guest& guest, Clock& clock)
      : io(io), client(client), clock(clock), name(std::move(name)), launcher(std::make_shared<FakeLauncher>(guest)),
        launchers({.executor = io.get_executor(), .clock = clock, .kubelet_root = dir.path(), .changed = [](std::string) {},
                   .instance = [](std::string, std::string, std::string) -> Awaitable<Result<std::shared_ptr<const api::Instance>>> {
                     co_return Error{Code::NotFound, "not asked for here"};
                   }}) {
    begin();
  }
  ~Node() {
    end();
    launchers.stop();
  }
  void begin() {
    stop = StopSource();
    Migrations::Deps deps{.executor = io.get_executor(), .clock = clock, .client = client, .launchers = launchers,
                          .state_dir = dir.path() / "state", .launcher_uid = geteuid(), .node = name};
    deps.kvm = []() -> Awaitable<bool> { co_return false; };
    deps.changed = [](std::string) {};
    deps.event = [this](const InstanceObject&, std::string, std::string reason, std::string, std::string) { events.push_back(reason); };
    migrations = std::make_unique<Migrations>(std::move(deps));
    auto bound = migrations->listen("127.0.0.1", 0);
    REQUIRE(bound.ok());
    migrations->set_address("127.0.0.1:" + std::to_string(*bound));
    spawn(io.get_executor(), migrations->run(stop.get_token()), "migrations");
  }
  /// As a killed program: nothing of it is left but its folder.
  void end() {
    stop.request_stop();
    io.restart();
    io.poll();
    migrations.reset();
  }
  void add_pod(const std::string& pod, const std::string& uid, const std::string& instance) {
    Json object{{"metadata", {{"name", pod}, {"namespace", "default"}, {"uid", uid}, {"labels", {{"kubevirt.io/created-by", instance}}}, {"annotations", {{"kubevirt.io/domain", "vm1"}}}}},
                {"spec", {{"nodeName", name}}}, {"status", {{"phase", "Running"}, {"podIP", "10.0.0." + uid}}}};
    auto decoded = PodObject::decode(object);
    REQUIRE(decoded.ok());
    std::filesystem::create_directories(dir.path() / "pods" / uid / "volumes/kubernetes.io~empty-dir/migration");
    launchers.pod_changed(nullptr, std::make_shared<const PodObject>(std::move(*decoded)));
    Launcher& known = *launchers.of_pod("default", pod);
    known.client = launcher;
    known.connected = true;
    known.network = NetworkState::Ready;
    known.domain.emplace();
  }

  boost::asio::io_context& io;
  client::Client client;
  Clock& clock;
  std::string name;
  TempDir dir{"node"};
  std::vector<std::string> events;   ///< their reasons
  std::shared_ptr<FakeLauncher> launcher;
  Launchers launchers;
  std::unique_ptr<Migrations> migrations;
  StopSource stop;
};

struct World {
  boost::asio::io_context io;
  std::shared_ptr<testing::MemoryApi> api = std::make_shared<testing::MemoryApi>();
  client::Client client{api};
  Guest guest;
  Node one, two;
  const std::string uid = "11111111-2222-3333-4444-555555555555";
  const k8s::Resource& vmis = k8s::resources::kVirtualMachineInstances;
  std::string seen_version;

  explicit World(Clock& clock = system_clock()) : one{io, client, "node1", guest, clock}, two{io, client, "node2", guest, clock} {
    one.add_pod("pod1", "1", uid);
    two.add_pod("pod2", "2", uid);
    api->put(vmis, {{"metadata", {{"name", "vm1"}, {"namespace", "default"}, {"uid", uid}, {"labels", {{"kubevirt.io/nodeName", "node1"}}}, {"annotations", {{"x", "y"}}}}},
                    {"spec", {{"domain", {{"devices", Json::object()}}}}},
                    {"status", {{"phase", "Running"}, {"nodeName", "node1"}, {"interfaces", {{{"name", "default"}, {"ipAddress", "10.0.0.1"}}}},
                                {"migrationState", {{"migrationUid", "m1"}, {"sourceNode", "node1"}, {"sourcePod", "pod1"}, {"targetNode", "node2"}, {"targetPod", "pod2"}}}}}});
  }
  ~World() {
    one.end();
    two.end();
    io.restart();
    io.poll();
  }
  Json vmi() { return *api->get(vmis, "default", "vm1"); }
  std::string state(std::string_view member) { return string_at(vmi(), {"status", "migrationState", member}); }
  bool is(std::string_view member) { return bool_at(vmi(), {"status", "migrationState", member}); }
  std::string owner() { return string_at(vmi(), {"metadata", "annotations", api::kMigrationHandoverAnnotation}); }
  api::MigrationProgress progress() {
    auto told = api::parse_migration_progress(string_at(vmi(), {"metadata", "annotations", api::kMigrationProgressAnnotation}));
    return told.ok() ? std::move(*told) : api::MigrationProgress();
  }
  void change(std::function<void(Json&)> f) {
    Json object = vmi();
    f(object);
    api->put(vmis, object);
  }
  /// What the informers of both nodes would tell.
  void tell() {
    Json now = vmi();
    if (string_at(now, {"metadata", "resourceVersion"}) == seen_version) return;
    seen_version = string_at(now, {"metadata", "resourceVersion"});
    auto decoded = InstanceObject::decode(now);
    REQUIRE(decoded.ok());
    auto object = std::make_shared<const InstanceObject>(std::move(*decoded));
    bool ours = string_at(now, {"metadata", "labels", "kubevirt.io/nodeName"}) == "node1";
    if (one.migrations) one.migrations->ours_changed(object, ours ? object : nullptr);
    if (two.migrations) two.migrations->coming_changed(object, object);
  }
  /// Lets everything go on until `condition` holds; never with the guest on both sides.
  bool until(std::function<bool()> condition) {
    auto limit = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    while (std::chrono::steady_clock::now() < limit) {
      tell();
      io.restart();
      io.run_one_for(std::chrono::milliseconds(20));
      io.poll();
      if (guest.twice()) return false;
      if (condition()) return true;
    }
    return false;
  }
  /// Up to the switch-over's beginning.
  void to_switchover() {
    REQUIRE(until([&] { return one.launcher->count("migrate") == 1; }));
    one.launcher->tell(Kind::SWITCHOVER);
  }
  void load() {
    guest.loaded = true;
    two.launcher->tell(Kind::LOADED);
  }
};

}  // namespace nodevirt::virt_handler::migration::test
