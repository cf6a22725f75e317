// Which evictions of launcher pods go through.
#include <catch2/catch.hpp>

#include "virt-api/admission/eviction.hpp"

using namespace nodevirt;
using namespace nodevirt::virt_api;

TEST_CASE("an instance's eviction strategy decides what becomes of an eviction", "[virt-api]") {
  struct Case {
    std::string name, strategy, migratable, evacuating, node;
    bool allowed, mark;
  };
  for (const auto& c : std::vector<Case>{
           {"unset", "", "False", "", "n1", true, false},
           {"none", "None", "True", "", "n1", true, false},
           {"live migrate", "LiveMigrate", "True", "", "n1", false, true},
           {"live migrate, but cannot", "LiveMigrate", "False", "", "n1", false, false},
           {"if possible, and can", "LiveMigrateIfPossible", "True", "", "n1", false, true},
           {"if possible, and cannot", "LiveMigrateIfPossible", "False", "", "n1", true, false},
           {"external", "External", "False", "", "n1", false, true},
           {"external, underway", "External", "False", "n1", "n1", false, false},
           {"a target pod", "External", "False", "", "n2", false, false},
       }) {
    DYNAMIC_SECTION(c.name) {
      Json vmi = {{"metadata", {{"name", "a"}, {"namespace", "ns"}}},
                  {"spec", Json::object()},
                  {"status", {{"nodeName", "n1"}, {"evacuationNodeName", c.evacuating},
                              {"conditions", Json::array({{{"type", "LiveMigratable"}, {"status", c.migratable}}})}}}};
      if (!c.strategy.empty()) vmi["spec"]["evictionStrategy"] = c.strategy;
      Json pod = {{"spec", {{"nodeName", c.node}}}};
      auto d = decide_eviction(pod, vmi);
      CHECK(d.allowed == c.allowed);
      CHECK(d.mark == c.mark);
      if (c.mark) CHECK(d.message == "Eviction triggered evacuation of VMI \"ns/a\"");
    }
  }
}

TEST_CASE("an instance that names no strategy has the cluster's", "[virt-api]") {
  Json vmi = {{"metadata", {{"name", "a"}, {"namespace", "ns"}}}, {"spec", Json::object()},
              {"status", {{"nodeName", "n1"}, {"conditions", Json::array({{{"type", "LiveMigratable"}, {"status", "True"}}})}}}};
  Json pod = {{"spec", {{"nodeName", "n1"}}}};
  CHECK(decide_eviction(pod, vmi).allowed);
  CHECK(decide_eviction(pod, vmi, "LiveMigrate").mark);
  vmi["spec"]["evictionStrategy"] = "None";
  CHECK(decide_eviction(pod, vmi, "LiveMigrate").allowed);
}
