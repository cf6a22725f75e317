// migrate, evacuate/cancel: asks for a migration, or takes back that an instance is to leave its node.
#include "api/migration_config.hpp"
#include "api/names.hpp"
#include "pkg/base/log.hpp"
#include "pkg/k8s/status.hpp"
#include "virt-api/reply.hpp"
#include "virt-api/subresources/subresources.hpp"

namespace nodevirt::virt_api {

namespace {

// Selectors and the like are texts by texts; anything else is the caller's mistake.
Result<Json> selector_of(const Json& body) {
  const Json* selector = find(body, {"addedNodeSelector"});
  if (!selector || selector->is_null()) return Json::object();
  if (!selector->is_object()) return bad_request("addedNodeSelector must be a map of labels");
  for (const auto& value : *selector)
    if (!value.is_string()) return bad_request("addedNodeSelector must be a map of labels");
  return *selector;
}

Awaitable<Result<Json>> create_migration(SubresourceDeps& deps, SubresourceRequest& request) {
  NV_CO_TRY(auto body, decode_body(request.http.body));
  NV_CO_TRY(auto selector, selector_of(body));
  NV_CO_TRY(auto vm, co_await fetch_vm(deps.client, request.ns, request.name));
  NV_CO_TRY(auto vmi, co_await fetch_vmi(deps.client, request.ns, request.name));
  if (!vmi_runs(vmi)) co_return vm_conflict(request.name, "VM is not running");
  Json migration = {{"apiVersion", "kubevirt.io/v1"},
                    {"kind", "VirtualMachineInstanceMigration"},
                    {"metadata", {{"generateName", "kubevirt-migrate-vm-"}, {"namespace", request.ns}}},
                    {"spec", {{"vmiName", request.name}}}};
  if (!selector.empty()) migration["spec"]["addedNodeSelector"] = std::move(selector);
  if (const Json* force = find(body, {"force"}); force && force->is_boolean())
    migration["metadata"]["annotations"][std::string(api::kForceAnnotation)] = force->get<bool>() ? "true" : "false";
  client::WriteOptions options;
  options.dry_run = wants_dry_run(body);
  auto made = co_await deps.client.create(k8s::resources::kVirtualMachineInstanceMigrations, request.ns, std::move(migration), options);
  if (!made.ok()) {
    // What admission said; anything else is no fault of the caller's.
    int status = k8s::http_status(made.error());
    if (status >= 400 && status < 500 && status != 401) co_return made.error();
    co_return internal_error(made.error().message);
  }
  auto user = std::string(request.http.headers.get("X-Remote-User"));
  log::info("migrate {}/{}{}, asked by {}: {}", request.ns, request.name, options.dry_run ? " (dry run)" : "", user.empty() ? "unknown" : user,
            string_at(*made, {"metadata", "name"}));
  co_return made;
}

// A node whose taint sends its instances away would mark this one again at once.
Awaitable<Result<void>> check_drain_taint(client::Client client, std::string node) {
  auto kubevirt = co_await client.get(k8s::resources::kKubeVirts, std::string(api::kSystemNamespace), "kubevirt");
  auto config = api::cluster_migration_config(kubevirt.ok() ? *kubevirt : Json());
  auto object = co_await client.get(k8s::resources::kNodes, "", node);
  if (!object.ok()) co_return Result<void>{};
  const Json* taints = find(*object, {"spec", "taints"});
  if (!taints || !taints->is_array()) co_return Result<void>{};
  for (const auto& t : *taints)
    if (string_at(t, {"key"}) == config.node_drain_taint_key && string_at(t, {"effect"}) == "NoSchedule")
      co_return bad_request(fmt::format("Node \"{}\" has NodeDrainTaintKey \"{}:NoSchedule\"", node, config.node_drain_taint_key));
  co_return Result<void>{};
}

Awaitable<Result<void>> clear_evacuation(SubresourceDeps& deps, SubresourceRequest& request) {
  NV_CO_TRY(auto body, decode_body(request.http.body));
  NV_CO_TRY(auto vmi, co_await fetch_vmi(deps.client, request.ns, request.name));
  auto marked = string_at(vmi, {"status", "evacuationNodeName"});
  auto node = marked.empty() ? string_at(vmi, {"status", "nodeName"}) : marked;
  NV_CO_TRY_VOID(co_await check_drain_taint(deps.client, node));
  if (marked.empty()) co_return Result<void>{};
  auto asked = string_at(body, {"evacuationNodeName"}, marked);
  constexpr const char* kPath = "/status/evacuationNodeName";
  Json patch = Json::array();
  patch.push_back({{"op", "test"}, {"path", kPath}, {"value", asked}});
  patch.push_back({{"op", "remove"}, {"path", kPath}});
  client::WriteOptions options;
  options.dry_run = wants_dry_run(body);
  auto done = co_await deps.client.patch(k8s::resources::kVirtualMachineInstances, request.ns, request.name, client::PatchType::Json, patch, options);
  if (!done.ok() && (k8s::is_failed_test(done.error()) || k8s::is_conflict(done.error()))) co_return vmi_conflict(request.name, done.error().message);
  if (!done.ok()) co_return internal_error(done.error().message);
  co_return Result<void>{};
}

}  // namespace

Awaitable<void> migrate_vm(SubresourceDeps& deps, SubresourceRequest request) {
  auto outcome = co_await create_migration(deps, request);
  if (outcome.ok()) co_await reply_json(request.response, 202, std::move(*outcome));
  else co_await reply_error(request.response, outcome.error());
}

Awaitable<void> cancel_evacuation(SubresourceDeps& deps, SubresourceRequest request) {
  auto outcome = co_await clear_evacuation(deps, request);
  if (outcome.ok()) co_await reply_empty(request.response, 200);
  else co_await reply_error(request.response, outcome.error());
}

}  // namespace nodevirt::virt_api
