// A template that was changed while its guest runs.
#include <catch2/catch.hpp>

#include "pkg/k8s/json_patch.hpp"
#include "virt-controller/vm/live_update.hpp"

using namespace nodevirt;
using namespace nodevirt::virt_controller::vm;

TEST_CASE("what reaches a running guest, and what waits for its restart") {
  const Json base = {{"domain", {{"memory", {{"guest", "64Mi"}}}, {"cpu", {{"sockets", 1}}}}},
                     {"volumes", Json::array({Json{{"name", "d"}, {"persistentVolumeClaim", {{"claimName", "one"}}}}})}};
  struct Case { std::string name; std::function<void(Json& machine)> change; bool restart, patched; };
  const std::vector<Case> cases = {
      {"nothing", [](Json&) {}, false, false},
      {"labels of the template", [](Json& m) { m["spec"]["template"]["metadata"]["labels"]["a"] = "b"; }, false, false},
      {"annotations of the template", [](Json& m) { m["spec"]["template"]["metadata"]["annotations"]["a"] = "b"; }, false, false},
      {"the machine's own annotations", [](Json& m) { m["metadata"]["annotations"]["a"] = "b"; }, false, false},
      {"the run strategy", [](Json& m) { m["spec"]["runStrategy"] = "Manual"; }, false, false},
      {"node selector", [](Json& m) { m["spec"]["template"]["spec"]["nodeSelector"] = {{"zone", "b"}}; }, false, true},
      {"affinity", [](Json& m) { m["spec"]["template"]["spec"]["affinity"] = {{"podAntiAffinity", Json::object()}}; }, false, true},
      {"tolerations", [](Json& m) { m["spec"]["template"]["spec"]["tolerations"] = Json::array({Json{{"key", "k"}}}); }, false, true},
      {"an empty selector", [](Json& m) { m["spec"]["template"]["spec"]["nodeSelector"] = Json::object(); }, false, false},
      {"memory", [](Json& m) { m["spec"]["template"]["spec"]["domain"]["memory"]["guest"] = "128Mi"; }, true, false},
      {"processors", [](Json& m) { m["spec"]["template"]["spec"]["domain"]["cpu"]["sockets"] = 2; }, true, false},
      {"a claim", [](Json& m) { m["spec"]["template"]["spec"]["volumes"][0]["persistentVolumeClaim"]["claimName"] = "two"; }, true, false},
      {"a claim that is moved", [](Json& m) {
         m["spec"]["updateVolumesStrategy"] = "Migration";
         m["spec"]["template"]["spec"]["volumes"][0]["persistentVolumeClaim"]["claimName"] = "two";
       }, false, false},
      {"a claim that the guest has moved to", [](Json& m) { m["spec"]["template"]["spec"]["volumes"][0]["persistentVolumeClaim"]["claimName"] = "moved"; }, false, false},
      {"a claim in place of another kind", [](Json& m) {
         m["spec"]["updateVolumesStrategy"] = "Migration";
         m["spec"]["template"]["spec"]["volumes"][0] = {{"name", "d"}, {"emptyDisk", {{"capacity", "1Gi"}}}};
       }, true, false},
      {"the uuid that the guest has", [](Json& m) { m["spec"]["template"]["spec"]["domain"]["firmware"]["uuid"] = "u1"; }, false, false},
      {"another uuid", [](Json& m) { m["spec"]["template"]["spec"]["domain"]["firmware"]["uuid"] = "u2"; }, true, false},
  };
  for (const auto& c : cases)
    DYNAMIC_SECTION(c.name) {
      Json machine = {{"metadata", {{"uid", "m"}}}, {"spec", {{"runStrategy", "Always"}, {"template", {{"spec", base}}}}}};
      const Json then = machine["spec"];
      Json instance = {{"metadata", {{"uid", "i"}}}, {"spec", base}};
      instance["spec"]["domain"]["firmware"]["uuid"] = "u1";
      if (c.name == "a claim that the guest has moved to") instance["spec"]["volumes"][0]["persistentVolumeClaim"]["claimName"] = "moved";
      c.change(machine);
      LiveUpdate update = compare_with_running(machine, then, instance);
      CHECK(update.restart_required == c.restart);
      CHECK(!update.patch.empty() == c.patched);
      if (!c.patched) return;
      auto changed = k8s::apply_json_patch(instance, update.patch);
      REQUIRE(changed.ok());
      CHECK(compare_with_running(machine, then, *changed).patch.empty());
      // And back again.
      machine["spec"] = then;
      LiveUpdate back = compare_with_running(machine, then, *changed);
      auto again = k8s::apply_json_patch(*changed, back.patch);
      REQUIRE(again.ok());
      CHECK(*again == instance);
    }
}
