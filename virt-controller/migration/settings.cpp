#include "virt-controller/migration/settings.hpp"

namespace nodevirt::virt_controller::migration {

Json kubevirt_object(const KubeVirtInformer& kubevirts) {
  KubeVirtInformer::Ptr best;
  for (const auto& o : kubevirts.list())
    if (!best || o->meta.name == "kubevirt" || (best->meta.name != "kubevirt" && o->meta.name < best->meta.name)) best = o;
  return best ? best->json() : Json();
}

std::string default_eviction_strategy(const Json& kubevirt) {
  std::string strategy = string_at(kubevirt, {"spec", "configuration", "evictionStrategy"});
  return strategy.empty() ? "None" : strategy;
}

api::MigrationConfig configuration_of(const Caches& caches, const MigrationObject& migration, const api::LabelMap& instance_labels) {
  api::MigrationConfig config = api::cluster_migration_config(kubevirt_object(caches.kubevirts));
  std::vector<Json> policies;
  for (const auto& p : caches.policies.list()) policies.push_back(p->json());
  std::vector<const Json*> pointers;
  for (const auto& p : policies) pointers.push_back(&p);
  auto ns = caches.namespaces.get(migration.meta.ns);
  const api::LabelMap none;
  const Json* policy = api::match_migration_policy(pointers, instance_labels, ns ? ns->meta.labels : none);
  if (policy) config = api::apply_migration_policy(std::move(config), *policy);
  return api::apply_force(std::move(config), api::requested_force(migration.meta.annotations));
}

}  // namespace nodevirt::virt_controller::migration
