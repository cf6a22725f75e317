// What an instance's status says, for everything that virt-handler can find.
#include <catch2/catch.hpp>

#include <functional>

#include "observation.hpp"
#include "pkg/k8s/json_patch.hpp"
#include "virt-handler/instances/conditions.hpp"
#include "virt-handler/instances/status.hpp"

using namespace nodevirt;
using namespace nodevirt::virt_handler;
using namespace nodevirt::virt_handler::test;

namespace {

Json object_of(const api::Instance& vmi) {
  return Json{{"metadata", {{"uid", vmi.metadata.uid}}},
              {"spec", {{"domain", {{"resources", {{"requests", {{"memory", "64M"}}}}}}}}},
              {"status", {{"phase", vmi.status.phase}, {"nodeName", "node1"}, {"qosClass", "Burstable"}}}};
}

std::string condition(const Json& status, const std::string& type, const std::string& member = "status") {
  if (!status.contains("conditions")) return "";
  for (const Json& item : status["conditions"])
    if (item["type"] == type) return string_at(item, {member});
  return "";
}

}  // namespace

TEST_CASE("the phase follows from domain, pod and launcher") {
  struct Case {
    std::string name, phase;
    bool deleting;
    launcher::v1::DomainState domain;
    std::function<void(Observation&, StatusInput&)> change;
    std::string want, reason;
  };
  auto none = [](Observation&, StatusInput&) {};
  auto gone = [](Observation& o, StatusInput& in) { o.pod_found = false; in.pod_confirmed_gone = true; };
  const Case cases[] = {
      {"started", "Scheduled", false, domain("Running"), none, "Running", ""},
      {"not started", "Scheduled", false, domain(""), none, "Scheduled", ""},
      {"only defined", "Scheduled", false, domain("Shutoff", "Unknown"), none, "Scheduled", ""},
      {"the start failed: tried again", "Scheduled", false, domain("Shutoff", "Failed"), none, "Scheduled", ""},
      {"started paused on purpose", "Scheduled", false, domain("Paused", "User"), none, "Running", ""},
      {"still being set up", "Scheduled", false, domain("Paused", "StartingUp"), none, "Scheduled", ""},
      {"powered off", "Running", false, domain("Shutoff", "Shutdown"), none, "Succeeded", ""},
      {"powered off before its phase was written", "Scheduled", false, domain("Shutoff", "Shutdown"), none, "Succeeded", ""},
      {"crashed", "Running", false, domain("Shutoff", "Crashed"), none, "Failed", "GuestCrashed"},
      {"crashed, and kept", "Running", false, domain("Crashed", "Panicked"), none, "Failed", "GuestPanicked"},
      {"killed without the button", "Running", true, domain("Shutoff", "Destroyed"), none, "Succeeded", ""},
      {"killed after the button", "Running", true, domain("Shutoff", "Destroyed", true), none, "Failed", "GracePeriodExceeded"},
      {"saved", "Running", false, domain("Shutoff", "Saved"), none, "Succeeded", ""},
      {"migrated away: not ours to say", "Running", false, domain("Shutoff", "Migrated"), none, "Running", ""},
      {"QEMU died and nobody knows why", "Running", false, domain("Shutoff", "Unknown"), none, "Failed", "DomainFailed"},
      {"libvirt away for a moment", "Running", false, domain(""), [](Observation& o, StatusInput&) { o.absent_for = 5s; }, "Running", ""},
      {"no domain for a minute", "Running", false, domain(""), [](Observation& o, StatusInput&) { o.absent_for = 60s; }, "Failed", "DomainGone"},
      {"launcher away for a moment", "Running", false, domain("Running"), [](Observation& o, StatusInput&) { o.connected = false; o.unreachable_for = 5s; }, "Running", ""},
      {"launcher away for a minute", "Running", false, domain("Running"), [](Observation& o, StatusInput&) { o.connected = false; o.unreachable_for = 60s; }, "Failed", "LauncherUnresponsive"},
      {"pod gone under a running guest", "Running", false, domain("Running"), gone, "Failed", "PodGone"},
      {"pod gone after the guest powered off", "Running", false, domain("Shutoff", "Shutdown"), gone, "Succeeded", ""},
      {"pod failed meanwhile", "Running", false, domain("Running"), [](Observation& o, StatusInput&) { o.connected = false; o.pod_phase = "Failed"; }, "Failed", "PodFailed"},
      {"pod ended well meanwhile", "Running", false, domain("Running"), [](Observation& o, StatusInput&) { o.connected = false; o.pod_phase = "Succeeded"; }, "Succeeded", ""},
      {"stopped before the start", "Scheduled", true, domain(""), none, "Succeeded", ""},
      {"the launcher says that it ended", "Scheduled", false, domain("Shutoff", "Unknown"),
       [](Observation&, StatusInput& in) { in.sync_error = Error{Code::FailedPrecondition, "GuestEnded", "the guest has ended"}; }, "Failed", "DomainGone"},
      {"final stays final", "Succeeded", false, domain("Running"), none, "Succeeded", ""},
      {"another owner's phase stays", "Scheduling", false, domain(""), none, "Scheduling", ""},
  };
  for (const Case& c : cases) {
    DYNAMIC_SECTION(c.name) {
      api::Instance vmi = instance(c.phase, c.deleting);
      Json object = object_of(vmi);
      Observation seen = healthy(vmi, &c.domain);
      StatusInput in{.seen = seen, .object = object, .node = "node1"};
      c.change(seen, in);
      PhaseOutcome out = next_phase(in);
      CHECK(out.phase == c.want);
      CHECK(out.reason == c.reason);
      // The same facts again change nothing more.
      StatusOutcome status = compute_status(in);
      CHECK(string_at(status.status, {"phase"}) == c.want);
      CHECK(string_at(status.status, {"qosClass"}) == "Burstable");
    }
  }
}

TEST_CASE("a running guest is described, once") {
  api::Instance vmi = instance("Scheduled");
  vmi.spec.domain.devices.disks = {{.name = "root", .bus = "virtio"}, {.name = "cd", .kind = api::DiskKind::cdrom}, {.name = "data"}};
  vmi.spec.domain.resources.requests["memory"] = *api::Quantity::parse("64M");
  Json object = object_of(vmi);
  launcher::v1::DomainState running = domain("Running");
  running.set_machine("pc-q35-7.2");
  running.set_domain_type("qemu");
  Observation seen = healthy(vmi, &running);
  StatusInput in{.seen = seen, .object = object, .node = "node1", .synced = true};
  launcher::v1::InterfaceOptions interface;
  interface.set_name("default");
  interface.set_mac("02:00:00:00:00:09");
  in.interfaces = {interface};

  StatusOutcome out = compute_status(in);
  const Json& status = out.status;
  CHECK(status["phase"] == "Running");
  CHECK(status["activePods"] == Json{{"pod-uid", "node1"}});
  CHECK(string_at(status["interfaces"][0], {"ipAddress"}) == "10.244.0.5");
  CHECK(string_at(status["interfaces"][0], {"mac"}) == "02:00:00:00:00:09");
  CHECK(status["machine"] == Json{{"type", "pc-q35-7.2"}});
  CHECK(string_at(status, {"memory", "guestCurrent"}) == "64M");
  CHECK(status["phaseTransitionTimestamps"] == Json::parse(R"([{"phase":"Running","phaseTransitionTimestamp":"2026-01-01T00:00:10Z"}])"));
  CHECK(condition(status, "SoftwareEmulation") == "True");
  CHECK(condition(status, "LiveMigratable") == "True");
  std::map<std::string, std::string> targets;
  for (const Json& volume : status["volumeStatus"]) targets[volume["name"]] = volume["target"];
  CHECK(targets == std::map<std::string, std::string>{{"root", "vda"}, {"cd", "sda"}, {"data", "vdb"}});
  REQUIRE(out.events.size() == 2);
  CHECK(out.events[0].reason == "Created");
  CHECK(out.events[1].reason == "Started");

  SECTION("what was written is not written again") {
    object["status"] = status;
    vmi.status.phase = "Running";
    StatusOutcome again = compute_status(in);
    CHECK(status_patch(object, again.status).empty());
    CHECK(again.events.empty());
  }
  SECTION("the patch gives the status, and only over the status that it was made from") {
    Json patch = status_patch(object, status);
    auto patched = k8s::apply_json_patch(object, patch);
    REQUIRE(patched.ok());
    CHECK((*patched)["status"] == status);
    Json raced = object;
    raced["status"]["phase"] = "Failed";
    CHECK_FALSE(k8s::apply_json_patch(raced, patch).ok());
    Json reborn = object;
    reborn["metadata"]["uid"] = "another";
    CHECK_FALSE(k8s::apply_json_patch(reborn, patch).ok());
  }
}

TEST_CASE("conditions say what is the matter") {
  api::Instance vmi = instance("Running");
  Json object = object_of(vmi);
  SECTION("paused by a user, then running again") {
    launcher::v1::DomainState paused = domain("Paused", "User");
    Observation seen = healthy(vmi, &paused);
    StatusInput in{.seen = seen, .object = object, .node = "node1"};
    StatusOutcome out = compute_status(in);
    CHECK(condition(out.status, "Paused", "reason") == "PausedByUser");
    object["status"] = out.status;
    launcher::v1::DomainState running = domain("Running");
    seen.domain = &running;
    CHECK(condition(compute_status(in).status, "Paused").empty());
  }
  SECTION("a full disk pauses the guest") {
    launcher::v1::DomainState paused = domain("Paused", "IOError");
    Observation seen = healthy(vmi, &paused);
    StatusInput in{.seen = seen, .object = object, .node = "node1"};
    CHECK(condition(compute_status(in).status, "Paused", "reason") == "PausedIOError");
  }
  SECTION("a start that fails is told once per message, and forgotten after it worked") {
    vmi = instance("Scheduled");
    object = object_of(vmi);
    launcher::v1::DomainState absent = domain("");
    Observation seen = healthy(vmi, &absent);
    StatusInput in{.seen = seen, .object = object, .node = "node1"};
    in.sync_error = Error{Code::InvalidArgument, "BadImage", "volume \"root\": the image is no disk"};
    StatusOutcome out = compute_status(in);
    CHECK(condition(out.status, "Synchronized") == "False");
    CHECK(condition(out.status, "Synchronized", "reason") == "BadImage");
    CHECK(condition(out.status, "Synchronized", "message") == in.sync_error->message);
    REQUIRE(out.events.size() == 1);
    CHECK(out.events[0] == EventText{"Warning", "SyncFailed", in.sync_error->message});

    vmi.status.conditions.push_back({.type = "Synchronized", .status = "False", .message = in.sync_error->message});
    object["status"] = out.status;
    CHECK(compute_status(in).events.empty());
    launcher::v1::DomainState running = domain("Running");
    seen.domain = &running;
    in.sync_error.reset();
    CHECK(condition(compute_status(in).status, "Synchronized").empty());
  }
}

TEST_CASE("a condition's transition time moves with its status only") {
  Json conditions;
  auto at = [](int second) { return *parse_time(fmt::format("2026-01-01T00:00:{:02}Z", second)); };
  set_condition(conditions, {"Ready", "False", "A", "a"}, at(1));
  set_condition(conditions, {"Ready", "False", "B", "b"}, at(2));
  CHECK(conditions[0]["lastTransitionTime"] == "2026-01-01T00:00:01Z");
  CHECK(conditions[0]["reason"] == "B");
  set_condition(conditions, {"Ready", "True", "", ""}, at(3));
  CHECK(conditions[0]["lastTransitionTime"] == "2026-01-01T00:00:03Z");
  CHECK_FALSE(conditions[0].contains("reason"));
  remove_condition(conditions, "Ready");
  CHECK(conditions.empty());
}

TEST_CASE("what keeps an instance from being migrated is named") {
  using Change = std::function<void(api::Instance&, Json&)>;
  struct Case { std::string name; Change change; std::string reason; bool storage = true; };
  auto claim = [](api::Instance& vmi) {
    vmi.spec.volumes.push_back({.name = "d", .kind = api::VolumeKind::persistentVolumeClaim});
    vmi.spec.volumes.back().claim.claim_name = "c";
  };
  auto told = [](const char* mode) { return Json::array({Json{{"name", "d"}, {"persistentVolumeClaimInfo", {{"accessModes", {mode}}}}}}); };
  const std::vector<Case> cases = {
      {"nothing", [](auto&, auto&) {}, ""},
      {"host disk", [](auto& v, auto&) { v.spec.volumes.push_back({.name = "h", .kind = api::VolumeKind::hostDisk}); }, "DisksNotLiveMigratable"},
      {"shared host disk", [](auto& v, auto&) {
         v.spec.volumes.push_back({.name = "h", .kind = api::VolumeKind::hostDisk});
         v.spec.volumes.back().host_disk.shared = true;
       }, ""},
      {"a claim of which nothing is known", [&](auto& v, auto&) { claim(v); }, "DisksNotLiveMigratable"},
      {"a claim of one node", [&](auto& v, auto& o) { claim(v); o["status"]["volumeStatus"] = told("ReadWriteOnce"); }, "DisksNotLiveMigratable"},
      {"a shared claim", [&](auto& v, auto& o) { claim(v); o["status"]["volumeStatus"] = told("ReadWriteMany"); }, ""},
      {"a claim that is being moved", [&](auto& v, auto& o) {
         claim(v);
         o["status"]["volumeStatus"] = told("ReadWriteOnce");
         o["status"]["migratedVolumes"] = Json::array({Json{{"volumeName", "d"}}});
       }, ""},
      {"bridge", [](auto& v, auto&) { v.spec.domain.devices.interfaces.push_back({.name = "i", .binding = "bridge"}); }, "InterfaceNotLiveMigratable", false},
      {"host-passthrough", [](auto& v, auto&) { v.spec.domain.cpu.emplace().model = "host-passthrough"; }, "CPUModeLiveMigratable", false},
      {"a clock of this node", [](auto& v, auto&) { v.spec.domain.cpu.emplace().features.push_back({"invtsc", ""}); }, "NoTSCFrequencyNotLiveMigratable", false},
      {"a clock that is not wanted", [](auto& v, auto&) { v.spec.domain.cpu.emplace().features.push_back({"invtsc", "disable"}); }, ""},
      {"hypervPassthrough", [](auto& v, auto&) { v.spec.domain.features.hyperv_passthrough = true; }, "HypervPassthroughNotLiveMigratable", false},
      {"a reservation", [](auto& v, auto&) {
         v.spec.domain.devices.disks.push_back({.name = "l"});
         v.spec.domain.devices.disks.back().lun_reservation = true;
       }, "PersistentReservationNotLiveMigratable", false},
  };
  for (const auto& c : cases)
    DYNAMIC_SECTION(c.name) {
      api::Instance vmi = instance("Running");
      Json object = object_of(vmi);
      c.change(vmi, object);
      Migratable m = live_migratable(vmi, object);
      CHECK(m.reason == c.reason);
      CHECK(m.possible == c.reason.empty());
      Migratable s = storage_live_migratable(vmi);
      CHECK(s.possible == c.storage);
      if (!c.storage) CHECK(s.message.starts_with(c.reason + ": "));
    }
}
