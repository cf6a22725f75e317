// The roles that exist on any cluster.
#include "standalone/apiserver/auth/authorizer.hpp"

namespace nodevirt::apiserver {

namespace {

using Names = std::vector<std::string>;

const Names kRead{"get", "list", "watch"};
const Names kWrite{"create", "delete", "deletecollection", "patch", "update"};

Json role(const std::string& name, Json rules, Json labels = Json::object()) {
  labels["kubernetes.io/bootstrapping"] = "rbac-defaults";
  return {{"apiVersion", "rbac.authorization.k8s.io/v1"}, {"kind", "ClusterRole"},
          {"metadata", {{"name", name}, {"labels", std::move(labels)}, {"annotations", {{"rbac.authorization.kubernetes.io/autoupdate", "true"}}}}},
          {"rules", std::move(rules)}};
}

Json aggregated(const std::string& name, const std::string& label, Json labels = Json::object()) {
  auto r = role(name, Json::array(), std::move(labels));
  r["aggregationRule"]["clusterRoleSelectors"] = Json::array({{{"matchLabels", {{label, "true"}}}}});
  return r;
}

Json rule(Names groups, Names resources, Names verbs) { return {{"apiGroups", groups}, {"resources", resources}, {"verbs", verbs}}; }
Json urls(Names paths, Names verbs) { return {{"nonResourceURLs", paths}, {"verbs", verbs}}; }

Json binding(const std::string& name, const std::string& role_name, const std::string& kind, Names subjects) {
  Json list = Json::array();
  for (const auto& s : subjects) list.push_back({{"kind", kind}, {"apiGroup", "rbac.authorization.k8s.io"}, {"name", s}});
  return {{"apiVersion", "rbac.authorization.k8s.io/v1"}, {"kind", "ClusterRoleBinding"},
          {"metadata", {{"name", name}, {"labels", {{"kubernetes.io/bootstrapping", "rbac-defaults"}}}}},
          {"roleRef", {{"apiGroup", "rbac.authorization.k8s.io"}, {"kind", "ClusterRole"}, {"name", role_name}}}, {"subjects", std::move(list)}};
}

std::string label_for(const std::string& role_name) { return "rbac.authorization.k8s.io/aggregate-to-" + role_name; }

}  // namespace

std::vector<Json> default_roles() {
  const Names viewable{"bindings", "configmaps", "endpoints", "events", "limitranges", "namespaces", "namespaces/status", "persistentvolumeclaims",
                       "persistentvolumeclaims/status", "pods", "pods/log", "pods/status", "resourcequotas", "resourcequotas/status",
                       "serviceaccounts", "services", "services/status"};
  const Names editable{"configmaps", "endpoints", "events", "persistentvolumeclaims", "pods", "pods/attach", "pods/eviction", "pods/exec", "pods/portforward",
                       "secrets", "serviceaccounts", "services"};
  auto verbs = kRead;
  verbs.insert(verbs.end(), kWrite.begin(), kWrite.end());
  Json view = Json::array({rule({""}, viewable, kRead), rule({"apps"}, {"controllerrevisions"}, kRead),
                           rule({"discovery.k8s.io"}, {"endpointslices"}, kRead),
                           rule({"policy"}, {"poddisruptionbudgets", "poddisruptionbudgets/status"}, kRead)});
  Json edit = Json::array({rule({""}, editable, kWrite), rule({""}, {"secrets", "pods/attach", "pods/exec", "pods/portforward"}, kRead),
                           rule({""}, {"serviceaccounts/token"}, {"create"}), rule({""}, {"serviceaccounts"}, {"impersonate"}),
                           rule({"policy"}, {"poddisruptionbudgets"}, kWrite), rule({"coordination.k8s.io"}, {"leases"}, verbs)});
  Json admin = Json::array({rule({"authorization.k8s.io"}, {"localsubjectaccessreviews"}, {"create"}),
                            rule({"rbac.authorization.k8s.io"}, {"roles", "rolebindings"}, verbs)});
  Json discovery = Json::array({urls({"/api", "/api/*", "/apis", "/apis/*", "/healthz", "/livez", "/openapi", "/openapi/*", "/readyz", "/version", "/version/"}, {"get"})});
  Json basic = Json::array({rule({"authorization.k8s.io"}, {"selfsubjectaccessreviews", "selfsubjectrulesreviews"}, {"create"}),
                            rule({"authentication.k8s.io"}, {"selfsubjectreviews"}, {"create"})});
  Json health = Json::array({urls({"/healthz", "/livez", "/readyz", "/version", "/version/"}, {"get"})});
  Json delegator = Json::array({rule({"authentication.k8s.io"}, {"tokenreviews"}, {"create"}), rule({"authorization.k8s.io"}, {"subjectaccessreviews"}, {"create"})});
  std::vector<Json> out;
  out.push_back(role("cluster-admin", Json::array({rule({"*"}, {"*"}, {"*"}), urls({"*"}, {"*"})})));
  out.push_back(aggregated("admin", label_for("admin")));
  out.push_back(aggregated("edit", label_for("edit"), {{label_for("admin"), "true"}}));
  out.push_back(aggregated("view", label_for("view"), {{label_for("edit"), "true"}}));
  out.push_back(role("system:aggregate-to-admin", std::move(admin), {{label_for("admin"), "true"}}));
  out.push_back(role("system:aggregate-to-edit", std::move(edit), {{label_for("edit"), "true"}}));
  out.push_back(role("system:aggregate-to-view", std::move(view), {{label_for("view"), "true"}}));
  out.push_back(role("system:discovery", std::move(discovery)));
  out.push_back(role("system:basic-user", std::move(basic)));
  out.push_back(role("system:public-info-viewer", std::move(health)));
  out.push_back(role("system:auth-delegator", std::move(delegator)));
  out.push_back(binding("cluster-admin", "cluster-admin", "Group", {"system:masters"}));
  out.push_back(binding("system:discovery", "system:discovery", "Group", {"system:authenticated"}));
  out.push_back(binding("system:basic-user", "system:basic-user", "Group", {"system:authenticated"}));
  out.push_back(binding("system:public-info-viewer", "system:public-info-viewer", "Group", {"system:authenticated", "system:unauthenticated"}));
  return out;
}

}  // namespace nodevirt::apiserver
