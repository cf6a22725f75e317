#include "virt-api/admission/migration.hpp"

#include <array>

#include <fmt/format.h>

#include "api/migration_config.hpp"
#include "api/names.hpp"
#include "api/quantity.hpp"
#include "virt-api/admission/rules.hpp"

namespace nodevirt::virt_api {

namespace {

constexpr std::array kPriorities = {"system-critical", "user-triggered", "system-maintenance"};

bool is_virt_controller(std::string_view user) {
  return user == "virt-controller" || user == fmt::format("system:serviceaccount:{}:kubevirt-controller", api::kSystemNamespace) ||
         user == fmt::format("system:serviceaccount:{}:virt-controller", api::kSystemNamespace);
}

AdmissionAnswer refuse(std::string message) { return deny(400, "BadRequest", std::move(message)); }

bool finished(const Json& object) {
  auto phase = string_at(object, {"status", "phase"});
  return phase == "Succeeded" || phase == "Failed";
}

const Json* condition_of(const Json& object, std::string_view type) {
  const Json* conditions = find(object, {"status", "conditions"});
  if (!conditions || !conditions->is_array()) return nullptr;
  for (const auto& c : *conditions)
    if (string_at(c, {"type"}) == type) return &c;
  return nullptr;
}

Causes check_spec(const AdmissionRequest& request) {
  Causes out;
  if (string_at(request.object, {"spec", "vmiName"}).empty()) out.push_back({"spec.vmiName", "vmiName is missing", Cause::Type::Required});
  for (const char* field : {"sendTo", "receive"})
    if (find(request.object, {"spec", field}))
      out.push_back({fmt::format("spec.{}", field), "migration between clusters is not supported by this version of Nodevirt", Cause::Type::NotSupported});
  const Json* priority = find(request.object, {"spec", "priority"});
  if (priority && !priority->is_null()) {
    auto value = string_at(request.object, {"spec", "priority"});
    if (!is_virt_controller(request.user))
      out.push_back({"spec.migrationPriority", "Migration priority queue, only virt-controller is allowed to set priority field"});
    else if (std::find(kPriorities.begin(), kPriorities.end(), value) == kPriorities.end())
      out.push_back({"spec.priority", fmt::format("\"{}\" is not known; supported are {}", value, fmt::join(kPriorities, ", ")), Cause::Type::NotSupported});
  }
  if (const Json* force = find(request.object, {"metadata", "annotations", api::kForceAnnotation}))
    if (*force != "true" && *force != "false")
      out.push_back({fmt::format("metadata.annotations[{}]", api::kForceAnnotation), "must be \"true\" or \"false\""});
  return out;
}

// A number of the settings, in its range.
void check_number(const Json& settings, const std::string& path, const char* field, std::int64_t lowest, std::int64_t highest, Causes& out) {
  const Json* value = find(settings, {field});
  if (!value || value->is_null()) return;
  auto where = path + "." + field;
  if (!value->is_number_integer()) out.push_back({where, "must be a whole number"});
  else if (lowest == 0 && value->get<std::int64_t>() < 0) out.push_back({where, "must not be negative"});
  else if (value->get<std::int64_t>() < lowest || value->get<std::int64_t>() > highest)
    out.push_back({where, fmt::format("must be from {} to {}", lowest, highest)});
}

void check_bandwidth(const Json& settings, const std::string& path, Causes& out) {
  const Json* value = find(settings, {"bandwidthPerMigration"});
  if (!value || value->is_null()) return;
  auto parsed = api::Quantity::parse(value->is_string() ? value->get<std::string>() : value->dump());
  if (!parsed.ok()) out.push_back({path + ".bandwidthPerMigration", parsed.error().message});
  else if (parsed->negative()) out.push_back({path + ".bandwidthPerMigration", "must not be negative"});
}

void check_settings(const Json& settings, const std::string& path, Causes& out) {
  constexpr std::int64_t kYear = 365 * 86400;
  check_bandwidth(settings, path, out);
  check_number(settings, path, "completionTimeoutPerGiB", 0, kYear, out);
  check_number(settings, path, "progressTimeout", 0, kYear, out);
  check_number(settings, path, "maxDowntimeMs", 1, 2000000, out);
  check_number(settings, path, "parallelMigrationsPerCluster", 1, 100000, out);
  check_number(settings, path, "parallelOutboundMigrationsPerNode", 1, 100000, out);
}

void check_selectors(const Json& spec, Causes& out) {
  const Json* selectors = find(spec, {"selectors"});
  if (!selectors || !selectors->is_object()) {
    out.push_back({"spec.selectors", "is missing: it says which instances the policy is for; {} is for all", Cause::Type::Required});
    return;
  }
  for (const char* name : {"virtualMachineInstanceSelector", "namespaceSelector"}) {
    const Json* selector = find(*selectors, {name});
    if (selector && !selector->is_object() && !selector->is_null())
      out.push_back({fmt::format("spec.selectors.{}", name), "must be a map of labels"});
  }
}

}  // namespace

Json with_migration_defaults(Json migration) {
  if (!migration.is_object()) return migration;
  auto name = string_at(migration, {"spec", "vmiName"});
  Json& metadata = migration["metadata"];
  if (!metadata.is_object()) metadata = Json::object();
  Json& labels = metadata["labels"];
  if (labels.is_null()) labels = Json::object();
  if (labels.is_object() && !name.empty() && name.size() <= 63) labels[std::string(api::kMigrationSelectorLabel)] = name;
  Json& finalizers = metadata["finalizers"];
  if (finalizers.is_null()) finalizers = Json::array();
  Json ours = std::string(api::kMigrationFinalizer);
  if (finalizers.is_array() && std::find(finalizers.begin(), finalizers.end(), ours) == finalizers.end()) finalizers.push_back(ours);
  return migration;
}

AdmissionAnswer mutate_migration(const AdmissionRequest& request) {
  if (request.operation != "CREATE" || !request.object.is_object()) return allow();
  auto out = allow();
  out.patch = Json::diff(request.object, with_migration_defaults(request.object));
  return out;
}

AdmissionAnswer decide_migration(const AdmissionRequest& request, const Json& vmi, const std::vector<Json>& others) {
  auto causes = check_spec(request);
  if (!causes.empty()) return verdict(std::move(causes));
  auto name = string_at(request.object, {"spec", "vmiName"});
  if (!vmi.is_object()) return refuse(fmt::format("the VMI \"{}/{}\" does not exist", request.ns, name));
  if (finished(vmi)) return refuse("Cannot migrate VMI in finalized state.");
  if (!string_at(vmi, {"metadata", "deletionTimestamp"}).empty()) return refuse("Cannot migrate VMI that is being deleted.");
  if (const Json* c = condition_of(vmi, "LiveMigratable"); c && string_at(*c, {"status"}) == "False")
    return refuse(fmt::format("Cannot migrate VMI, Reason: {}, Message: {}", string_at(*c, {"reason"}), string_at(*c, {"message"})));
  for (const auto& other : others) {
    if (finished(other) || string_at(other, {"spec", "vmiName"}) != name) continue;
    return refuse(fmt::format("in-flight migration detected. Active migration job ({}) is currently already in progress for VMI {}.",
                              string_at(other, {"metadata", "uid"}), name));
  }
  return allow();
}

Awaitable<AdmissionAnswer> admit_migration_create(client::Client client, AdmissionRequest request) {
  auto name = string_at(request.object, {"spec", "vmiName"});
  Json vmi;
  std::vector<Json> others;
  if (!name.empty()) {
    auto found = co_await client.get(k8s::resources::kVirtualMachineInstances, request.ns, name);
    if (found.ok()) vmi = std::move(*found);
    else if (found.error().code != Code::NotFound) co_return refuse("look up the VMI: " + found.error().message);
    auto list = co_await client.list(k8s::resources::kVirtualMachineInstanceMigrations, request.ns);
    if (!list.ok()) co_return refuse("look up the VMI's migrations: " + list.error().message);
    if (const Json* items = find(*list, {"items"}); items && items->is_array())
      for (const auto& item : *items) others.push_back(item);
  }
  co_return decide_migration(request, vmi, others);
}

AdmissionAnswer admit_migration_update(const AdmissionRequest& request) {
  static const Json none;
  const Json* now = find(request.object, {"spec"});
  const Json* old = find(request.old_object, {"spec"});
  if ((now ? *now : none) != (old ? *old : none))
    return verdict({{"spec", "update of Migration object's spec is restricted", Cause::Type::NotSupported}});
  auto before = string_at(request.old_object, {"metadata", "labels", api::kMigrationSelectorLabel});
  auto after = string_at(request.object, {"metadata", "labels", api::kMigrationSelectorLabel});
  if (finished(request.object) || before.empty() || before == after) return allow();
  const char* what = after.empty() ? "selector label can't be removed from an in-flight migration" : "selector label can't be modified on an in-flight migration";
  return verdict({{"", what, Cause::Type::NotSupported}});
}

AdmissionAnswer admit_migration_policy(const AdmissionRequest& request) {
  if (!request.object.is_object() || find(request.object, {"metadata", "deletionTimestamp"})) return allow();
  Causes out;
  const Json* spec = find(request.object, {"spec"});
  const Json empty = Json::object();
  check_selectors(spec ? *spec : empty, out);
  check_settings(spec ? *spec : empty, "spec", out);
  for (auto& fault : api::check_migration_policy(request.object)) {
    auto colon = fault.find(": ");
    if (colon == std::string::npos || fault.find(' ') < colon) out.push_back({"", fault});
    else out.push_back({fault.substr(0, colon), fault.substr(colon + 2)});
  }
  return verdict(std::move(out));
}

AdmissionAnswer admit_kubevirt(const AdmissionRequest& request) {
  if (!request.object.is_object() || find(request.object, {"metadata", "deletionTimestamp"})) return allow();
  Causes out;
  if (const Json* settings = find(request.object, {"spec", "configuration", "migrations"}); settings && settings->is_object()) {
    const std::string path = "spec.configuration.migrations";
    check_settings(*settings, path, out);
    if (const Json* network = find(*settings, {"network"}); network && *network != "")
      out.push_back({path + ".network", "a network of its own for migrations is not supported by this version of Nodevirt", Cause::Type::NotSupported});
    if (const Json* taint = find(*settings, {"nodeDrainTaintKey"}); taint && taint->is_string() && taint->get_ref<const std::string&>().size() > 317)
      out.push_back({path + ".nodeDrainTaintKey", "is no taint's key"});
  }
  auto strategy = string_at(request.object, {"spec", "configuration", "evictionStrategy"});
  if (!one_of(strategy, {"", "None", "LiveMigrate", "LiveMigrateIfPossible", "External"}))
    out.push_back({"spec.configuration.evictionStrategy",
                   fmt::format("\"{}\" is not known; supported are None, LiveMigrate, LiveMigrateIfPossible, External", strategy), Cause::Type::NotSupported});
  return verdict(std::move(out));
}

}  // namespace nodevirt::virt_api
