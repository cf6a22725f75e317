// Volumes of a machine that runs move to other claims: what is agreed on, refused, taken back, and remembered.
#include <catch2/catch.hpp>

#include "pkg/k8s/json_patch.hpp"
#include "virt-controller/status_patch.hpp"
#include "virt-controller/vm/plan.hpp"
#include "virt-controller/vm/status.hpp"
#include "virt-controller/vm/volumes.hpp"

using namespace nodevirt;
using namespace nodevirt::virt_controller;
using namespace nodevirt::virt_controller::vm;
using Move = VolumesPlan::Step;

namespace {

Json volumes(const std::string& claim, const std::string& shared = "") {
  Json out = Json::array({Json{{"name", "root"}, {"containerDisk", {{"image", "demo"}}}}, Json{{"name", "data"}, {"persistentVolumeClaim", {{"claimName", claim}}}}});
  if (!shared.empty()) out.push_back(Json{{"name", "more"}, {"persistentVolumeClaim", {{"claimName", shared}}}});
  return out;
}

struct World {
  Json machine = {{"metadata", {{"name", "vm"}, {"namespace", "n"}, {"uid", "vm-uid"}}},
                  {"spec", {{"runStrategy", "Always"}, {"updateVolumesStrategy", "Migration"}, {"template", {{"spec", {{"volumes", volumes("new")}}}}}}}};
  Json instance = {{"metadata", {{"name", "vm"}, {"uid", "vmi-uid"}, {"ownerReferences", Json::array({Json{{"uid", "vm-uid"}, {"controller", true}}})}}},
                   {"spec", {{"volumes", volumes("old")}, {"domain", {{"devices", {{"disks", Json::array({Json{{"name", "root"}}, Json{{"name", "data"}}, Json{{"name", "more"}}})}}}}}}},
                   {"status", {{"phase", "Running"}, {"conditions", Json::array({Json{{"type", "StorageLiveMigratable"}, {"status", "True"}}})}}}};
  std::map<std::string, ClaimInformer::Ptr> claims;
  std::string other_user;
  Clock::WallTime now = *parse_time("2026-01-01T00:00:00Z");

  World() {
    claim("old", "1Gi");
    claim("new", "1Gi");
  }
  void claim(const std::string& name, const char* size, const char* mode = "ReadWriteOnce") {
    claims[name] = std::make_shared<ClaimObject>(*ClaimObject::decode(
        {{"metadata", {{"name", name}, {"namespace", "n"}, {"uid", name + "-uid"}}},
         {"spec", {{"accessModes", Json::array({mode})}, {"resources", {{"requests", {{"storage", size}}}}}}}, {"status", {{"phase", "Bound"}, {"capacity", {{"storage", size}}}}}}));
  }
  VolumesPlan plan() const {
    VolumesInput in{.machine = machine, .instance = instance};
    in.claim = [this](const std::string& name) { auto it = claims.find(name); return it == claims.end() ? nullptr : it->second; };
    in.other_user = [this](const std::string&) { return other_user; };
    in.now = now;
    return plan_volumes(in);
  }
  void want(const std::string& claim) { machine["spec"]["template"]["spec"]["volumes"] = volumes(claim); }
  void apply(const VolumesPlan& p) {
    auto done = k8s::apply_json_patch(instance, p.patch);
    REQUIRE(done.ok());
    instance = *done;
  }
  // What the controller writes into the machine.
  void write_status(bool alive = true) {
    Machine m = Machine::of(machine);
    std::optional<Instance> i;
    if (alive) i = Instance::of(instance);
    StatusInput in{.object = machine, .machine = m};
    if (i) in.instance_object = &instance, in.instance = &*i;
    Json moving;
    if (i && !i->final()) moving = plan().moving;
    if (!moving.is_null()) in.moving = &moving;
    in.now = now;
    machine["status"] = compute_status(in);
  }
  void begin() {
    CHECK(plan().step == Move::Record);
    write_status();
    VolumesPlan p = plan();
    REQUIRE(p.step == Move::Begin);
    apply(p);
  }
  std::string used() const { return string_at(instance["spec"]["volumes"][1], {"persistentVolumeClaim", "claimName"}); }
  // What the migration's target writes when the guest has arrived.
  void arrive() {
    instance["status"]["migratedVolumes"] = Json::array();
    remove_condition(instance["status"]["conditions"], "VolumesChange");
  }
  bool recovery() const { return condition_is(machine, "ManualRecoveryRequired", "True"); }
};

}  // namespace

TEST_CASE("a claim that was changed is agreed on, first in the machine, then in the instance") {
  World w;
  w.begin();
  CHECK(w.used() == "new");
  CHECK(string_at(w.instance["status"]["migratedVolumes"][0], {"sourcePVCInfo", "claimName"}) == "old");
  CHECK(string_at(w.instance["status"]["migratedVolumes"][0], {"destinationPVCInfo", "capacity", "storage"}) == "1Gi");
  CHECK(condition_is(w.instance, "VolumesChange", "True"));
  CHECK(condition_is(w.machine, "VolumesChange", "True"));
  CHECK(w.plan().step == Move::None);
  w.write_status();
  CHECK(w.machine["status"]["volumeUpdateState"]["volumeMigrationState"]["migratedVolumes"] == w.instance["status"]["migratedVolumes"]);
  w.arrive();
  w.write_status();
  CHECK(find_condition(w.machine, "VolumesChange") == nullptr);
  CHECK(w.plan().step == Move::None);
  CHECK_FALSE(w.recovery());
}

TEST_CASE("claims that a guest cannot move to") {
  struct Case { std::string name; std::function<void(World&)> change; std::string why; };
  const std::vector<Case> cases = {
      {"too small", [](World& w) { w.claim("new", "512Mi"); }, "is smaller than old (1Gi)"},
      {"in use", [](World& w) { w.other_user = "VirtualMachine other"; }, "is used by VirtualMachine other"},
      {"a lun", [](World& w) { w.instance["spec"]["domain"]["devices"]["disks"][1]["lun"] = Json::object(); }, "luns: [data]"},
      {"shareable", [](World& w) { w.instance["spec"]["domain"]["devices"]["disks"][1]["shareable"] = true; }, "shareable: [data]"},
      {"not migratable for another reason", [](World& w) { w.instance["status"]["conditions"][0] = {{"type", "StorageLiveMigratable"}, {"status", "False"}, {"message", "a bridge"}}; },
       "isn't migratable: a bridge"},
      {"another local one stays", [](World& w) {
         w.claim("more", "1Gi");
         w.instance["spec"]["volumes"] = volumes("old", "more");
         w.machine["spec"]["template"]["spec"]["volumes"] = volumes("new", "more");
       }, "The volume more is RWO and not included"},
      {"to the claim of another volume", [](World& w) {
         w.instance["spec"]["volumes"] = volumes("old", "new");
         w.machine["spec"]["template"]["spec"]["volumes"] = volumes("new", "new");
       }, "cannot both move"},
  };
  for (const auto& c : cases)
    DYNAMIC_SECTION(c.name) {
      World w;
      c.change(w);
      VolumesPlan p = w.plan();
      CHECK(p.step == Move::None);
      CHECK(p.refused.find(c.why) != std::string::npos);
    }
}

TEST_CASE("a claim that is not there is waited for, and told") {
  World w;
  w.claims.erase("new");
  VolumesPlan p = w.plan();
  REQUIRE(p.step == Move::Complain);
  w.apply(p);
  CHECK(string_at(*find_condition(w.instance, "VolumesChange"), {"message"}).find("new is not there") != std::string::npos);
  CHECK(w.plan().step == Move::None);
  SECTION("it comes") {
    w.claim("new", "1Gi");
    w.begin();
  }
  SECTION("nobody wants it any more") {
    w.want("old");
    p = w.plan();
    REQUIRE(p.step == Move::Complain);
    w.apply(p);
    CHECK(find_condition(w.instance, "VolumesChange") == nullptr);
  }
}

TEST_CASE("without the strategy Migration nothing moves") {
  World w;
  w.machine["spec"]["updateVolumesStrategy"] = "Replacement";
  CHECK(w.plan().step == Move::None);
  CHECK(w.plan().moving.is_null());
}

TEST_CASE("a migration that goes on is waited for") {
  World w;
  w.instance["status"]["migrationState"] = {{"migrationUid", "m"}};
  CHECK(w.plan().step == Move::None);
  w.instance["status"]["migrationState"]["completed"] = true;
  w.begin();
}

TEST_CASE("changed back: the copy is called off, and the old claims are the instance's again") {
  World w;
  w.begin();
  w.write_status();
  w.want("old");
  SECTION("before a migration began") {
    VolumesPlan p = w.plan();
    REQUIRE(p.step == Move::TakeBack);
    w.apply(p);
  }
  SECTION("while one runs") {
    w.instance["status"]["migrationState"] = {{"migrationUid", "m"}, {"startTimestamp", "2026-01-01T00:00:00Z"}};
    VolumesPlan p = w.plan();
    REQUIRE(p.step == Move::Abort);
    w.apply(p);
    CHECK(bool_at(w.instance, {"status", "migrationState", "abortRequested"}));
    CHECK(w.plan().step == Move::None);
    w.instance["status"]["migrationState"]["failed"] = true;
    p = w.plan();
    REQUIRE(p.step == Move::TakeBack);
    w.apply(p);
  }
  SECTION("the guest arrived first: it is moved back by a copy") {
    w.arrive();
    CHECK(w.plan().step == Move::Record);
    return;
  }
  CHECK(w.used() == "old");
  CHECK(condition_is(w.instance, "VolumesChange", "False", "VolumesChangeCancellation"));
  CHECK_FALSE(w.instance["status"].contains("migratedVolumes"));
  w.write_status();
  CHECK_FALSE(w.machine["status"].contains("volumeUpdateState"));
  CHECK(w.plan().step == Move::None);
}

TEST_CASE("to a third claim it cannot be changed in between") {
  World w;
  w.begin();
  w.claim("third", "1Gi");
  w.want("third");
  CHECK(w.plan().step == Move::None);
  CHECK(w.plan().refused.find("only be reverted") != std::string::npos);
}

TEST_CASE("what was planned on an instance that has changed meanwhile is not written") {
  World w;
  w.plan();
  w.write_status();
  VolumesPlan p = w.plan();
  REQUIRE(p.step == Move::Begin);
  SECTION("a migration was handed over") { w.instance["status"]["migrationState"] = {{"migrationUid", "m"}}; }
  SECTION("another instance") { w.instance["metadata"]["uid"] = "other"; }
  CHECK_FALSE(k8s::apply_json_patch(w.instance, p.patch).ok());
}

TEST_CASE("a guest that ended in the middle of its copy does not start from half of it") {
  World w;
  w.begin();
  w.write_status();
  auto plan_now = [&] {
    Machine m = Machine::of(w.machine);
    return plan({.machine = m, .now = w.now});
  };
  if (GENERATE(true, false)) {  // it was seen final, or was gone before
    w.instance["status"]["phase"] = "Failed";
    w.write_status();
    CHECK(w.recovery());
  }
  w.write_status(false);
  CHECK(w.recovery());
  CHECK(plan_now().step == virt_controller::vm::Step::None);
  REQUIRE(plan_now().failure);
  CHECK(plan_now().failure->reason == "ManualRecoveryRequired");
  SECTION("the claims are set back") { w.want("old"); }
  SECTION("somebody takes the copies as they are") { w.machine["spec"].erase("updateVolumesStrategy"); }
  SECTION("nobody does anything") {
    w.write_status(false);
    CHECK(w.recovery());
    return;
  }
  w.write_status(false);
  CHECK_FALSE(w.recovery());
  CHECK(find_condition(w.machine, "VolumesChange") == nullptr);
  w.machine["status"].erase("startFailure");
  CHECK(plan_now().step == virt_controller::vm::Step::Create);
}

TEST_CASE("claims that were set back while the guest ended: what counts is where its disks are") {
  World w;
  w.begin();
  w.write_status();
  w.want("old");
  SECTION("the copy had not ended: they are on the old claims") {
    w.instance["status"]["phase"] = "Failed";
    w.write_status();
    w.write_status(false);
    CHECK_FALSE(w.recovery());
    CHECK_FALSE(w.machine["status"].contains("volumeUpdateState"));
  }
  SECTION("the guest had arrived: the old claims are older than what it wrote") {
    w.arrive();
    w.instance["status"]["phase"] = "Failed";
    w.write_status();
    CHECK(w.recovery());
    const Json& left = w.machine["status"]["volumeUpdateState"]["volumeMigrationState"]["migratedVolumes"];
    CHECK(string_at(left[0], {"sourcePVCInfo", "claimName"}) == "new");
    CHECK(string_at(left[0], {"sourcePVCInfo", "capacity", "storage"}) == "1Gi");
    CHECK(string_at(left[0], {"destinationPVCInfo", "claimName"}) == "old");
    w.write_status(false);
    CHECK(w.recovery());
    w.want("new");
    w.write_status(false);
    CHECK_FALSE(w.recovery());
  }
}

TEST_CASE("an instance is needed until the machine says what became of the move") {
  World w;
  CHECK_FALSE(awaits_judgement(w.machine));
  w.begin();
  w.write_status();
  CHECK(awaits_judgement(w.machine));
  w.instance["status"]["phase"] = "Failed";
  if (GENERATE(true, false)) w.arrive();
  w.write_status();
  CHECK_FALSE(awaits_judgement(w.machine));
}

TEST_CASE("a copy that was whole when the guest ended needs nobody") {
  World w;
  w.begin();
  w.write_status();
  w.arrive();
  w.instance["status"]["phase"] = "Succeeded";  // both at once, as far as the machine has seen
  w.write_status();
  w.write_status(false);
  CHECK_FALSE(w.recovery());
}
