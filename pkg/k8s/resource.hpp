// Names of resources and their URLs.
#pragma once
#include <string>
#include <string_view>

namespace nodevirt::k8s {

struct Resource {
  std::string group;      ///< "" is the core group
  std::string version;
  std::string plural;     ///< as in the URL
  std::string kind;
  bool namespaced = true;

  std::string api_version() const { return group.empty() ? version : group + "/" + version; }
  /// /api/v1/namespaces/NS/pods[/NAME[/SUBRESOURCE]]; an empty ns means all namespaces (or cluster scope).
  std::string path(std::string_view ns = "", std::string_view name = "", std::string_view subresource = "") const;
  friend bool operator==(const Resource&, const Resource&) = default;
};

/// The resources that our programs use.
namespace resources {
extern const Resource kPods, kNodes, kNamespaces, kServices, kEndpoints, kEndpointSlices, kEvents, kSecrets,
    kConfigMaps, kServiceAccounts, kPersistentVolumes, kPersistentVolumeClaims, kStorageClasses, kLeases,
    kControllerRevisions, kPodDisruptionBudgets, kPriorityClasses, kResourceQuotas, kCustomResourceDefinitions,
    kApiServices, kValidatingWebhookConfigurations, kMutatingWebhookConfigurations, kClusterRoles,
    kClusterRoleBindings, kRoles, kRoleBindings, kVirtualMachines, kVirtualMachineInstances,
    kVirtualMachineInstanceMigrations, kKubeVirts, kMigrationPolicies;
}

}  // namespace nodevirt::k8s
