#include <fmt/format.h>

#include "standalone/apiserver/resources/resource_info.hpp"

namespace nodevirt::apiserver {

namespace {

using Names = std::vector<std::string>;

const Names kAll{"create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"};
const Names kCreate{"create"};
const Names kStatus{"get", "patch", "update"};

struct Row {
  std::string group, version, plural, singular, kind;
  bool namespaced;
  bool status;
  Names short_names{}, categories{};
  std::vector<Subresource> subresources{};
  Names fields{};
};

const std::vector<Row>& rows() {
  static const std::vector<Row> table = {
      {"", "v1", "namespaces", "namespace", "Namespace", false, true, {"ns"}, {}, {{"finalize", {"update"}}}, {"status.phase"}},
      {"", "v1", "pods", "pod", "Pod", true, true, {"po"}, {"all"},
       {{"binding", kCreate, "", "v1", "Binding"},
        {"eviction", kCreate, "policy", "v1", "Eviction"},
        {"log", {"get"}},
        {"exec", {"create", "get"}, "", "v1", "PodExecOptions"},
        {"attach", {"create", "get"}, "", "v1", "PodAttachOptions"},
        {"portforward", {"create", "get"}, "", "v1", "PodPortForwardOptions"},
        {"ephemeralcontainers", kStatus}},
       {"spec.nodeName", "spec.restartPolicy", "spec.schedulerName", "spec.serviceAccountName", "spec.hostNetwork",
        "status.phase", "status.podIP", "status.nominatedNodeName"}},
      {"", "v1", "nodes", "node", "Node", false, true, {"no"}, {}, {}, {"spec.unschedulable"}},
      {"", "v1", "services", "service", "Service", true, true, {"svc"}, {"all"}, {}, {"spec.clusterIP", "spec.type"}},
      {"", "v1", "endpoints", "endpoints", "Endpoints", true, false, {"ep"}},
      {"", "v1", "configmaps", "configmap", "ConfigMap", true, false, {"cm"}},
      {"", "v1", "secrets", "secret", "Secret", true, false, {}, {}, {}, {"type"}},
      {"", "v1", "serviceaccounts", "serviceaccount", "ServiceAccount", true, false, {"sa"}, {},
       {{"token", kCreate, "authentication.k8s.io", "v1", "TokenRequest"}}},
      {"", "v1", "persistentvolumes", "persistentvolume", "PersistentVolume", false, true, {"pv"}},
      {"", "v1", "persistentvolumeclaims", "persistentvolumeclaim", "PersistentVolumeClaim", true, true, {"pvc"}},
      {"", "v1", "events", "event", "Event", true, false, {"ev"}, {}, {},
       {"involvedObject.kind", "involvedObject.namespace", "involvedObject.name", "involvedObject.uid",
        "involvedObject.apiVersion", "involvedObject.resourceVersion", "involvedObject.fieldPath", "reason",
        "reportingComponent", "source", "type"}},
      {"", "v1", "resourcequotas", "resourcequota", "ResourceQuota", true, true, {"quota"}},
      {"events.k8s.io", "v1", "events", "event", "Event", true, false, {"ev"}, {}, {},
       {"regarding.kind", "regarding.namespace", "regarding.name", "regarding.uid", "regarding.apiVersion",
        "regarding.resourceVersion", "regarding.fieldPath", "reason", "reportingController", "type"}},
      {"discovery.k8s.io", "v1", "endpointslices", "endpointslice", "EndpointSlice", true, false},
      {"coordination.k8s.io", "v1", "leases", "lease", "Lease", true, false},
      {"apps", "v1", "controllerrevisions", "controllerrevision", "ControllerRevision", true, false},
      {"policy", "v1", "poddisruptionbudgets", "poddisruptionbudget", "PodDisruptionBudget", true, true, {"pdb"}},
      {"scheduling.k8s.io", "v1", "priorityclasses", "priorityclass", "PriorityClass", false, false, {"pc"}},
      {"storage.k8s.io", "v1", "storageclasses", "storageclass", "StorageClass", false, false, {"sc"}},
      {"rbac.authorization.k8s.io", "v1", "roles", "role", "Role", true, false},
      {"rbac.authorization.k8s.io", "v1", "rolebindings", "rolebinding", "RoleBinding", true, false},
      {"rbac.authorization.k8s.io", "v1", "clusterroles", "clusterrole", "ClusterRole", false, false},
      {"rbac.authorization.k8s.io", "v1", "clusterrolebindings", "clusterrolebinding", "ClusterRoleBinding", false, false},
      {"apiextensions.k8s.io", "v1", "customresourcedefinitions", "customresourcedefinition", "CustomResourceDefinition",
       false, true, {"crd", "crds"}, {"api-extensions"}},
      {"apiregistration.k8s.io", "v1", "apiservices", "apiservice", "APIService", false, true, {}, {"api-extensions"}},
      {"admissionregistration.k8s.io", "v1", "mutatingwebhookconfigurations", "mutatingwebhookconfiguration",
       "MutatingWebhookConfiguration", false, false, {}, {"api-extensions"}},
      {"admissionregistration.k8s.io", "v1", "validatingwebhookconfigurations", "validatingwebhookconfiguration",
       "ValidatingWebhookConfiguration", false, false, {}, {"api-extensions"}},
      {"authentication.k8s.io", "v1", "tokenreviews", "tokenreview", "TokenReview", false, false},
      {"authentication.k8s.io", "v1", "selfsubjectreviews", "selfsubjectreview", "SelfSubjectReview", false, false},
      {"authorization.k8s.io", "v1", "subjectaccessreviews", "subjectaccessreview", "SubjectAccessReview", false, false},
      {"authorization.k8s.io", "v1", "selfsubjectaccessreviews", "selfsubjectaccessreview", "SelfSubjectAccessReview", false, false},
      {"authorization.k8s.io", "v1", "selfsubjectrulesreviews", "selfsubjectrulesreview", "SelfSubjectRulesReview", false, false},
      {"authorization.k8s.io", "v1", "localsubjectaccessreviews", "localsubjectaccessreview", "LocalSubjectAccessReview", true, false},
  };
  return table;
}

void rename(Json& o, const char* from, const char* to) {
  auto it = o.find(from);
  if (it == o.end()) return;
  Json value = std::move(*it);
  o.erase(it);
  o[to] = std::move(value);
}

// events.k8s.io/v1 is the same object as core/v1's with other names.
constexpr std::pair<const char*, const char*> kEventNames[] = {
    {"regarding", "involvedObject"}, {"note", "message"}, {"reportingController", "reportingComponent"},
    {"deprecatedSource", "source"}, {"deprecatedFirstTimestamp", "firstTimestamp"},
    {"deprecatedLastTimestamp", "lastTimestamp"}, {"deprecatedCount", "count"}};

void event_to_core(Json& o) {
  for (auto [newer, core] : kEventNames) rename(o, newer, core);
  o["apiVersion"] = "v1";
}

void event_from_core(Json& o) {
  for (auto [newer, core] : kEventNames) rename(o, core, newer);
  o["apiVersion"] = "events.k8s.io/v1";
}

}  // namespace

std::vector<ResourceInfo> builtin_resources() {
  std::vector<ResourceInfo> out;
  for (const auto& row : rows()) {
    ResourceInfo r;
    r.group = row.group;
    r.plural = row.plural;
    r.singular = row.singular;
    r.kind = row.kind;
    r.list_kind = row.kind + "List";
    r.id = row.group.empty() ? row.plural : row.plural + "." + row.group;
    r.namespaced = row.namespaced;
    r.short_names = row.short_names;
    r.categories = row.categories;
    r.subresources = row.subresources;
    r.fields = row.fields;
    r.virtual_kind = row.kind.ends_with("Review");
    r.verbs = r.virtual_kind ? kCreate : kAll;
    ServedVersion v;
    v.name = row.version;
    v.storage = true;
    v.status = row.status;
    r.versions.push_back(v);
    if (r.group == "events.k8s.io") {
      r.id = "events";
      r.to_stored = event_to_core;
      r.from_stored = event_from_core;
    }
    if (r.plural == "namespaces") std::erase(r.verbs, "deletecollection");
    out.push_back(std::move(r));
  }
  return out;
}

}  // namespace nodevirt::apiserver
