#include "pkg/k8s/resource.hpp"

#include <fmt/format.h>

namespace nodevirt::k8s {

namespace {

// Names come from objects and users: nothing in them may leave its segment of the path.
std::string segment(std::string_view text) {
  std::string out;
  for (char c : text) {
    bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_' ||
                 c == '.' || c == '~' || c == ':';
    if (plain) out += c;
    else out += fmt::format("%{:02X}", static_cast<unsigned char>(c));
  }
  if (out == "." || out == "..") {
    std::string dots;
    for (std::size_t i = 0; i < out.size(); ++i) dots += "%2E";
    return dots;
  }
  return out;
}

}  // namespace

std::string Resource::path(std::string_view ns, std::string_view name, std::string_view subresource) const {
  std::string out = group.empty() ? "/api/" + version : "/apis/" + group + "/" + version;
  if (namespaced && !ns.empty()) out += "/namespaces/" + segment(ns);
  out += "/" + plural;
  if (!name.empty()) out += "/" + segment(name);
  while (!subresource.empty()) {  // "proxy/a/b" has several segments
    auto slash = std::min(subresource.find('/'), subresource.size());
    out += "/" + segment(subresource.substr(0, slash));
    subresource.remove_prefix(std::min(slash + 1, subresource.size()));
  }
  return out;
}

namespace resources {

namespace {
constexpr const char* kAdmission = "admissionregistration.k8s.io";
constexpr const char* kRbac = "rbac.authorization.k8s.io";
}  // namespace

const Resource kPods{"", "v1", "pods", "Pod"};
const Resource kNodes{"", "v1", "nodes", "Node", false};
const Resource kNamespaces{"", "v1", "namespaces", "Namespace", false};
const Resource kServices{"", "v1", "services", "Service"};
const Resource kEndpoints{"", "v1", "endpoints", "Endpoints"};
const Resource kEndpointSlices{"discovery.k8s.io", "v1", "endpointslices", "EndpointSlice"};
const Resource kEvents{"", "v1", "events", "Event"};
const Resource kSecrets{"", "v1", "secrets", "Secret"};
const Resource kConfigMaps{"", "v1", "configmaps", "ConfigMap"};
const Resource kServiceAccounts{"", "v1", "serviceaccounts", "ServiceAccount"};
const Resource kPersistentVolumes{"", "v1", "persistentvolumes", "PersistentVolume", false};
const Resource kPersistentVolumeClaims{"", "v1", "persistentvolumeclaims", "PersistentVolumeClaim"};
const Resource kStorageClasses{"storage.k8s.io", "v1", "storageclasses", "StorageClass", false};
const Resource kLeases{"coordination.k8s.io", "v1", "leases", "Lease"};
const Resource kControllerRevisions{"apps", "v1", "controllerrevisions", "ControllerRevision"};
const Resource kPodDisruptionBudgets{"policy", "v1", "poddisruptionbudgets", "PodDisruptionBudget"};
const Resource kPriorityClasses{"scheduling.k8s.io", "v1", "priorityclasses", "PriorityClass", false};
const Resource kResourceQuotas{"", "v1", "resourcequotas", "ResourceQuota"};
const Resource kCustomResourceDefinitions{"apiextensions.k8s.io", "v1", "customresourcedefinitions",
                                          "CustomResourceDefinition", false};
const Resource kApiServices{"apiregistration.k8s.io", "v1", "apiservices", "APIService", false};
const Resource kValidatingWebhookConfigurations{kAdmission, "v1", "validatingwebhookconfigurations",
                                                "ValidatingWebhookConfiguration", false};
const Resource kMutatingWebhookConfigurations{kAdmission, "v1", "mutatingwebhookconfigurations",
                                              "MutatingWebhookConfiguration", false};
const Resource kClusterRoles{kRbac, "v1", "clusterroles", "ClusterRole", false};
const Resource kClusterRoleBindings{kRbac, "v1", "clusterrolebindings", "ClusterRoleBinding", false};
const Resource kRoles{kRbac, "v1", "roles", "Role"};
const Resource kRoleBindings{kRbac, "v1", "rolebindings", "RoleBinding"};
const Resource kVirtualMachines{"kubevirt.io", "v1", "virtualmachines", "VirtualMachine"};
const Resource kVirtualMachineInstances{"kubevirt.io", "v1", "virtualmachineinstances", "VirtualMachineInstance"};
const Resource kVirtualMachineInstanceMigrations{"kubevirt.io", "v1", "virtualmachineinstancemigrations",
                                                 "VirtualMachineInstanceMigration"};
const Resource kKubeVirts{"kubevirt.io", "v1", "kubevirts", "KubeVirt"};
const Resource kMigrationPolicies{"migrations.kubevirt.io", "v1alpha1", "migrationpolicies", "MigrationPolicy", false};

}  // namespace resources

}  // namespace nodevirt::k8s
