// What a migration may do: KubeVirt's defaults, the cluster's values, the policy that matches, the request's force.
#include "api/migration_config.hpp"

#include <catch2/catch.hpp>

using namespace nodevirt;
using namespace nodevirt::api;

namespace {

Json kubevirt(Json migrations) {
  return {{"kind", "KubeVirt"}, {"spec", {{"configuration", {{"migrations", std::move(migrations)}}}}}};
}

Json policy(std::string name, Json spec, Json annotations = Json::object()) {
  if (!spec.contains("selectors")) spec["selectors"] = Json::object();
  return {{"metadata", {{"name", name}, {"annotations", annotations}}}, {"spec", spec}};
}

Json selecting(std::string name, Json instance, Json space) {
  Json selectors = Json::object();
  if (!instance.is_null()) selectors["virtualMachineInstanceSelector"] = instance;
  if (!space.is_null()) selectors["namespaceSelector"] = space;
  return {{"metadata", {{"name", name}}}, {"spec", {{"selectors", selectors}}}};
}

}  // namespace

TEST_CASE("without a KubeVirt object the defaults are KubeVirt's") {
  for (Json none : {Json(), Json::object(), kubevirt(nullptr), kubevirt(Json::object())}) {
    MigrationConfig c = cluster_migration_config(none);
    CHECK(c == MigrationConfig{});
    CHECK(c.parallel_migrations_per_cluster == 5);
    CHECK(c.parallel_outbound_migrations_per_node == 2);
    CHECK(c.bandwidth_bytes_per_second == 0);
    CHECK(c.completion_timeout_per_gib_s == 150);
    CHECK(c.progress_timeout_s == 150);
    CHECK(c.max_downtime_ms == 900);
    CHECK_FALSE(c.allow_auto_converge);
    CHECK_FALSE(c.allow_workload_disruption);
  }
}

TEST_CASE("the cluster's values, and what makes no sense is passed over") {
  auto c = cluster_migration_config(kubevirt({{"parallelMigrationsPerCluster", 7},
                                              {"bandwidthPerMigration", "64Mi"},
                                              {"completionTimeoutPerGiB", 800},
                                              {"maxDowntimeMs", 0},
                                              {"progressTimeout", -5},
                                              {"allowAutoConverge", "yes"},
                                              {"disableTLS", true},
                                              {"network", "migration"}}));
  CHECK(c.parallel_migrations_per_cluster == 7);
  CHECK(c.bandwidth_bytes_per_second == 64u << 20);
  CHECK(c.completion_timeout_per_gib_s == 800);
  CHECK(c.max_downtime_ms == 900);
  CHECK(c.progress_timeout_s == 150);
  CHECK_FALSE(c.allow_auto_converge);
  CHECK(c.disable_tls);
  CHECK(c.network == "migration");
  CHECK(cluster_migration_config(kubevirt({{"bandwidthPerMigration", 1000}})).bandwidth_bytes_per_second == 1000);
  CHECK(cluster_migration_config(kubevirt({{"bandwidthPerMigration", "-1"}})).bandwidth_bytes_per_second == 0);
}

TEST_CASE("allowWorkloadDisruption follows allowPostCopy where it is not said") {
  struct Case { std::string name; Json cluster; Json spec; bool post_copy, disruption; };
  for (auto& c : {
           Case{"cluster says post-copy", {{"allowPostCopy", true}}, Json::object(), true, true},
           Case{"cluster says both", {{"allowPostCopy", true}, {"allowWorkloadDisruption", false}}, Json::object(), true, false},
           Case{"policy takes post-copy back", {{"allowPostCopy", true}}, {{"allowPostCopy", false}}, false, false},
           Case{"policy says post-copy", Json::object(), {{"allowPostCopy", true}}, true, true},
           Case{"policy says disruption alone", Json::object(), {{"allowWorkloadDisruption", true}}, false, true},
           Case{"policy says neither", {{"allowWorkloadDisruption", true}}, {{"maxDowntimeMs", 5}}, false, true},
       }) {
    DYNAMIC_SECTION(c.name) {
      auto got = apply_migration_policy(cluster_migration_config(kubevirt(c.cluster)), policy("p", c.spec));
      CHECK(got.allow_post_copy == c.post_copy);
      CHECK(got.allow_workload_disruption == c.disruption);
    }
  }
}

TEST_CASE("the policy with the most labels wins, then the instance's own, then the first by name") {
  LabelMap instance{{"a", "1"}, {"b", "2"}}, space{{"team", "x"}, {"zone", "y"}};
  struct Case { std::string name; std::vector<Json> policies; std::string want; };
  for (auto& c : std::vector<Case>{
           {"none", {}, ""},
           {"no selectors at all", {{{"metadata", {{"name", "p"}}}, {"spec", Json::object()}}}, ""},
           {"empty selectors match all", {selecting("all", nullptr, nullptr)}, "all"},
           {"one label differs", {selecting("p", {{"a", "1"}, {"b", "3"}}, nullptr)}, ""},
           {"one label is missing", {selecting("p", {{"c", "1"}}, nullptr)}, ""},
           {"the namespace must match too", {selecting("p", {{"a", "1"}}, {{"team", "z"}})}, ""},
           {"more labels", {selecting("a", {{"a", "1"}}, nullptr), selecting("z", {{"a", "1"}}, {{"team", "x"}})}, "z"},
           {"as many, but the instance's own",
            {selecting("a", nullptr, {{"team", "x"}, {"zone", "y"}}), selecting("z", {{"a", "1"}, {"b", "2"}}, nullptr)}, "z"},
           {"by name", {selecting("z", {{"a", "1"}}, nullptr), selecting("b", {{"b", "2"}}, nullptr)}, "b"},
           {"a selector that is no map", {selecting("p", Json::array({1}), nullptr)}, ""},
           {"a value that is no string", {selecting("p", {{"a", 1}}, nullptr)}, ""},
       }) {
    DYNAMIC_SECTION(c.name) {
      std::vector<const Json*> pointers{nullptr};
      for (auto& p : c.policies) pointers.push_back(&p);
      const Json* got = match_migration_policy(pointers, instance, space);
      CHECK((got ? string_at(*got, {"metadata", "name"}) : "") == c.want);
    }
  }
}

TEST_CASE("a policy sets its own fields and no others") {
  auto base = cluster_migration_config(kubevirt({{"parallelMigrationsPerCluster", 9}, {"disableTLS", true}}));
  auto c = apply_migration_policy(
      base, policy("slow", {{"allowAutoConverge", true},
                            {"bandwidthPerMigration", "1Gi"},
                            {"completionTimeoutPerGiB", 10},
                            {"maxDowntimeMs", 250},
                            {"parallelMigrationsPerCluster", 1},
                            {"disableTLS", false},
                            {"experimental", {{"stallDetector", {{"stallMargin", 7}, {"ewmaAlpha", "250m"}}},
                                              {"compression", "zstd"}}}},
                   {{"nodevirt.io/max-throttle-percent", "40"}, {"nodevirt.io/virtual-machine-policy", "PreferForced"}}));
  CHECK(c.allow_auto_converge);
  CHECK(c.bandwidth_bytes_per_second == 1u << 30);
  CHECK(c.completion_timeout_per_gib_s == 10);
  CHECK(c.max_downtime_ms == 250);
  CHECK(c.parallel_migrations_per_cluster == 9);
  CHECK(c.disable_tls);
  REQUIRE(c.stall_detector);
  CHECK(c.stall_detector->stall_margin == Approx(0.07));
  CHECK(c.stall_detector->ewma_alpha == Approx(0.25));
  CHECK(c.stall_detector->stall_progress_timeout_s == 40);
  CHECK_FALSE(c.downtime_tuning);
  CHECK(c.compression == "zstd");
  CHECK(c.max_throttle_percent == 40);
  CHECK(c.virtual_machine_policy == VirtualMachinePolicy::PreferForced);
  CHECK(c.policy_name == "slow");
}

TEST_CASE("the four policies with and without force") {
  using P = VirtualMachinePolicy;
  struct Case { P policy; bool allow; std::optional<bool> force; bool want; };
  for (auto& c : {
           Case{P::Unset, false, {}, false}, Case{P::Unset, true, {}, true}, Case{P::Unset, false, true, true},
           Case{P::Unset, true, false, false},
           Case{P::AlwaysSafe, true, {}, false}, Case{P::AlwaysSafe, true, true, false}, Case{P::AlwaysSafe, true, false, false},
           Case{P::PreferSafe, true, {}, false}, Case{P::PreferSafe, false, true, true}, Case{P::PreferSafe, true, false, false},
           Case{P::AlwaysForced, false, {}, true}, Case{P::AlwaysForced, false, true, true}, Case{P::AlwaysForced, false, false, true},
           Case{P::PreferForced, false, {}, true}, Case{P::PreferForced, false, true, true}, Case{P::PreferForced, true, false, false},
       }) {
    DYNAMIC_SECTION(to_string(c.policy) << " allow " << c.allow << " force " << (c.force ? int(*c.force) : -1)) {
      MigrationConfig config;
      config.virtual_machine_policy = c.policy;
      config.allow_auto_converge = c.allow;
      CHECK(apply_force(config, c.force).allow_auto_converge == c.want);
      config.max_throttle_percent = 0;
      CHECK_FALSE(apply_force(config, c.force).allow_auto_converge);
    }
  }
  CHECK(requested_force({{"nodevirt.io/force", "true"}}) == true);
  CHECK(requested_force({{"nodevirt.io/force", "false"}}) == false);
  CHECK(requested_force({{"nodevirt.io/force", "1"}}) == std::nullopt);
  CHECK(requested_force({}) == std::nullopt);
}

TEST_CASE("what is wrong with a policy is said") {
  CHECK(check_migration_policy(policy("p", Json::object())).empty());
  CHECK(check_migration_policy(policy("p", Json::object(), {{"nodevirt.io/max-throttle-percent", "0"}})).empty());
  for (auto bad : {"100", "-1", "", "5x", "5%"}) {
    auto got = check_migration_policy(policy("p", Json::object(), {{"nodevirt.io/max-throttle-percent", bad}}));
    REQUIRE(got.size() == 1);
    CHECK(got[0].find("0 to 99") != std::string::npos);
  }
  CHECK(check_migration_policy(policy("p", Json::object(), {{"nodevirt.io/virtual-machine-policy", "Always"}})).size() == 1);
  CHECK(check_migration_policy(policy("p", {{"experimental", {{"stallDetector", Json::object()},
                                                              {"downtimeTuning", Json::object()}}}})).size() == 1);
}

TEST_CASE("effective values go through the object and our annotation and come back the same") {
  MigrationConfig c = apply_migration_policy(
      cluster_migration_config(kubevirt({{"network", "m"}, {"matchSELinuxLevelOnMigration", true}})),
      policy("p", {{"allowPostCopy", true}, {"bandwidthPerMigration", "60Mi"},
                   {"experimental", {{"stallDetector", Json::object()}, {"downtimeTuning", {{"steps", 3}}},
                                     {"compression", "none"}}}},
             {{"nodevirt.io/max-throttle-percent", "70"}, {"nodevirt.io/virtual-machine-policy", "PreferSafe"}}));
  c = apply_force(c, true);
  Json written = to_json(c);
  CHECK(written["bandwidthPerMigration"] == "60Mi");
  CHECK(written["allowAutoConverge"] == true);
  CHECK_FALSE(written.contains("policyName"));
  auto back = read_migration_config(written, format_migration_settings("uid-1", c), "uid-1");
  back.policy_name = c.policy_name;   // stands in migrationState.migrationPolicyName
  CHECK(back == c);

  SECTION("the annotation of another migration does not count") {
    auto other = read_migration_config(written, format_migration_settings("uid-2", c), "uid-1");
    CHECK(other.max_throttle_percent == 99);
    CHECK(other.allow_auto_converge);
  }
  SECTION("nor one that is broken or huge") {
    for (std::string bad : {std::string(""), std::string("{"), std::string("[]"), std::string(5000, ' ')})
      CHECK(read_migration_config(written, bad, "uid-1").max_throttle_percent == 99);
  }
  SECTION("defaults too") {
    CHECK(read_migration_config(to_json(MigrationConfig{}), format_migration_settings("u", {}), "u") == MigrationConfig{});
    CHECK(read_migration_config(Json(), "", "u") == MigrationConfig{});
  }
}

TEST_CASE("the timeout's size is in decimal GB, rounded up") {
  struct Case { std::uint64_t memory, disks, want; };
  for (auto& c : {Case{0, 0, 1}, Case{256u << 20, 0, 1}, Case{1000000000, 0, 1}, Case{1000000001, 0, 2},
                  Case{1u << 30, 0, 2}, Case{1u << 30, 3000000000u, 5}, Case{UINT64_MAX, UINT64_MAX, 18446744074}})
    DYNAMIC_SECTION(c.memory << "+" << c.disks) { CHECK(timeout_size(c.memory, c.disks) == c.want); }
}
