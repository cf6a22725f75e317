// Migrations, their policies and the cluster's settings at the door.
#include <catch2/catch.hpp>

#include "api/names.hpp"
#include "virt-api/admission/migration.hpp"

using namespace nodevirt;
using namespace nodevirt::virt_api;

namespace {

AdmissionRequest create(Json spec, std::string user = "kubernetes-admin") {
  AdmissionRequest r;
  r.operation = "CREATE";
  r.ns = "n";
  r.user = std::move(user);
  r.object = {{"metadata", {{"name", "m"}, {"namespace", "n"}}}, {"spec", std::move(spec)}};
  return r;
}

Json vmi(const char* phase = "Running", const char* migratable = "True") {
  return {{"metadata", {{"name", "vm"}}}, {"status", {{"phase", phase}, {"conditions", Json::array({Json{{"type", "LiveMigratable"}, {"status", migratable}, {"reason", "DisksNotLiveMigratable"}, {"message", "a disk"}}})}}}};
}

Json other(const char* phase, const char* of = "vm") { return {{"metadata", {{"uid", "m0"}}}, {"spec", {{"vmiName", of}}}, {"status", {{"phase", phase}}}}; }

}  // namespace

TEST_CASE("a migration is admitted as KubeVirt does", "[virt-api]") {
  struct Case {
    std::string name;
    AdmissionRequest request;
    Json vmi;
    std::vector<Json> others;
    int code;
    std::string message;
  };
  const std::vector<Case> cases = {
      {"it may", create({{"vmiName", "vm"}}), vmi(), {other("Succeeded"), other("Failed"), other("Running", "vm2")}, 0, ""},
      {"not yet running", create({{"vmiName", "vm"}}), vmi("Scheduling", ""), {}, 0, ""},
      {"no name", create(Json::object()), Json(), {}, 422, "vmiName is missing"},
      {"no such instance", create({{"vmiName", "vm"}}), Json(), {}, 400, "the VMI \"n/vm\" does not exist"},
      {"it has ended", create({{"vmiName", "vm"}}), vmi("Failed"), {}, 400, "Cannot migrate VMI in finalized state."},
      {"it cannot", create({{"vmiName", "vm"}}), vmi("Running", "False"), {}, 400, "Cannot migrate VMI, Reason: DisksNotLiveMigratable, Message: a disk"},
      {"another one goes on", create({{"vmiName", "vm"}}), vmi(), {other("Running")}, 400,
       "in-flight migration detected. Active migration job (m0) is currently already in progress for VMI vm."},
      {"a priority of one's own", create({{"vmiName", "vm"}, {"priority", "system-critical"}}), vmi(), {}, 422, "only virt-controller is allowed"},
      {"virt-controller's priority", create({{"vmiName", "vm"}, {"priority", "system-critical"}}, "virt-controller"), vmi(), {}, 0, ""},
      {"an unknown priority", create({{"vmiName", "vm"}, {"priority", "x"}}, "system:serviceaccount:kubevirt:virt-controller"), vmi(), {}, 422, "supported are"},
      {"between clusters", create({{"vmiName", "vm"}, {"sendTo", Json::object()}}), vmi(), {}, 422, "between clusters"},
  };
  for (const auto& c : cases)
    DYNAMIC_SECTION(c.name) {
      auto answer = decide_migration(c.request, c.vmi, c.others);
      CHECK(answer.allowed == (c.code == 0));
      CHECK(answer.code == c.code);
      CHECK_THAT(answer.message, Catch::Contains(c.message));
    }
}

TEST_CASE("a migration gets its label and its finalizer", "[virt-api]") {
  Json done = with_migration_defaults({{"metadata", {{"name", "m"}}}, {"spec", {{"vmiName", "vm"}}}});
  CHECK(done["metadata"]["labels"]["kubevirt.io/vmi-name"] == "vm");
  CHECK(done["metadata"]["finalizers"] == Json::array({"kubevirt.io/migrationJobFinalize"}));
  CHECK(with_migration_defaults(done) == done);
}

TEST_CASE("a migration's spec and label stay", "[virt-api]") {
  AdmissionRequest r = create({{"vmiName", "vm"}});
  r.operation = "UPDATE";
  r.old_object = r.object;
  CHECK(admit_migration_update(r).allowed);
  r.object["spec"]["vmiName"] = "other";
  CHECK(admit_migration_update(r).message.find("restricted") != std::string::npos);
  r.object = r.old_object;
  r.old_object["metadata"]["labels"]["kubevirt.io/vmi-name"] = "vm";
  CHECK_THAT(admit_migration_update(r).message, Catch::Contains("can't be removed"));
  r.object["metadata"]["labels"]["kubevirt.io/vmi-name"] = "x";
  CHECK_THAT(admit_migration_update(r).message, Catch::Contains("can't be modified"));
  r.object["status"]["phase"] = "Failed";
  CHECK(admit_migration_update(r).allowed);
}

TEST_CASE("policies and settings are checked", "[virt-api]") {
  struct Case {
    std::string name;
    Json spec, annotations;
    std::string complaint;
  };
  const Json all = Json::object();
  const std::vector<Case> cases = {
      {"an empty one", {{"selectors", all}}, all, ""},
      {"a full one", {{"selectors", all}, {"bandwidthPerMigration", "64Mi"}, {"completionTimeoutPerGiB", 60}, {"maxDowntimeMs", 100}, {"allowPostCopy", true}, {"allowWorkloadDisruption", false}}, all, ""},
      {"no selectors", all, all, "spec.selectors"},
      {"a negative time", {{"selectors", all}, {"completionTimeoutPerGiB", -1}}, all, "spec.completionTimeoutPerGiB: must not be negative"},
      {"a negative bandwidth", {{"selectors", all}, {"bandwidthPerMigration", "-1"}}, all, "spec.bandwidthPerMigration: must not be negative"},
      {"no bandwidth at all", {{"selectors", all}, {"bandwidthPerMigration", "fast"}}, all, "spec.bandwidthPerMigration"},
      {"a downtime out of range", {{"selectors", all}, {"maxDowntimeMs", 3000000}}, all, "spec.maxDowntimeMs: must be from 1 to 2000000"},
      {"our annotations", {{"selectors", all}}, {{"nodevirt.io/max-throttle-percent", "120"}}, "from 0 to 99"},
      {"our policies", {{"selectors", all}}, {{"nodevirt.io/virtual-machine-policy", "Sometimes"}}, "AlwaysSafe"},
  };
  for (const auto& c : cases)
    DYNAMIC_SECTION(c.name) {
      AdmissionRequest r;
      r.operation = "CREATE";
      r.object = {{"metadata", {{"name", "p"}, {"annotations", c.annotations}}}, {"spec", c.spec}};
      auto answer = admit_migration_policy(r);
      CHECK(answer.allowed == c.complaint.empty());
      CHECK_THAT(answer.message, Catch::Contains(c.complaint));
    }
  AdmissionRequest r;
  r.object = {{"spec", {{"configuration", {{"evictionStrategy", "LiveMigrate"}, {"migrations", {{"parallelMigrationsPerCluster", 3}, {"nodeDrainTaintKey", "x/y"}}}}}}}};
  CHECK(admit_kubevirt(r).allowed);
  r.object["spec"]["configuration"]["evictionStrategy"] = "Never";
  r.object["spec"]["configuration"]["migrations"] = {{"parallelMigrationsPerCluster", 0}, {"network", "nad"}};
  CHECK(admit_kubevirt(r).causes.size() == 3);
}
