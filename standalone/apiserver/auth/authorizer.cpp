#include "standalone/apiserver/auth/authorizer.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "pkg/k8s/selector.hpp"

namespace nodevirt::apiserver {

namespace {

const std::string kSuffix = ".rbac.authorization.k8s.io";

std::vector<std::string> texts(const Json& o, const char* key) {
  std::vector<std::string> out;
  if (const Json* list = find(o, {key}); list && list->is_array())
    for (const auto& s : *list) if (s.is_string()) out.push_back(s.get<std::string>());
  return out;
}

bool has(const std::vector<std::string>& list, std::string_view what) {
  return std::find(list.begin(), list.end(), what) != list.end();
}

bool has_or_star(const std::vector<std::string>& list, std::string_view what) { return has(list, what) || has(list, "*"); }

}  // namespace

PolicyRule PolicyRule::from_json(const Json& r) {
  return {texts(r, "verbs"), texts(r, "apiGroups"), texts(r, "resources"), texts(r, "resourceNames"), texts(r, "nonResourceURLs")};
}

Json PolicyRule::to_json() const {
  Json o{{"verbs", verbs}};
  if (!groups.empty()) o["apiGroups"] = groups;
  if (!resources.empty()) o["resources"] = resources;
  if (!names.empty()) o["resourceNames"] = names;
  if (!paths.empty()) o["nonResourceURLs"] = paths;
  return o;
}

bool PolicyRule::allows(const AccessRequest& r) const {
  if (!has_or_star(verbs, r.verb)) return false;
  if (!r.resource)
    return std::any_of(paths.begin(), paths.end(), [&](const std::string& p) {
      return p == "*" || p == r.path || (p.ends_with('*') && r.path.starts_with(std::string_view(p).substr(0, p.size() - 1)));
    });
  if (!has_or_star(groups, r.group)) return false;
  bool resource_ok = has_or_star(resources, r.resource_name);
  if (auto slash = r.resource_name.find('/'); !resource_ok && slash != std::string::npos)
    resource_ok = has(resources, "*/" + r.resource_name.substr(slash + 1));
  return resource_ok && (names.empty() || has(names, r.name));
}

struct Authorizer::Tables {
  std::vector<StoredPtr> from;
  std::map<std::string, Role> roles;          // "ns/name" for Roles
  std::map<std::string, Role> cluster_roles;
  std::vector<Binding> bindings;              // ns empty: cluster-wide
};

const Authorizer::Tables& Authorizer::tables() {
  std::vector<StoredPtr> now;
  for (const char* kind : {"roles", "clusterroles", "rolebindings", "clusterrolebindings"})
    s_.store->list(kind + kSuffix, "", "", [&now](const StoredPtr& o) { now.push_back(o); return true; });
  if (tables_ && tables_->from == now) return *tables_;
  auto t = std::make_shared<Tables>();
  auto each = [&](const std::string& kind, auto use) {
    s_.store->list(kind + kSuffix, "", "", [&](const StoredPtr& stored) {
      auto text = s_.store->text(kind + kSuffix, stored);
      auto object = text.ok() ? parse_json(**text) : Result<Json>(text.error());
      if (object.ok()) use(*stored, *object);
      return true;
    });
  };
  auto role = [](const Json& o) {
    Role r;
    if (const Json* rules = find(o, {"rules"}); rules && rules->is_array())
      for (const auto& one : *rules) r.rules.push_back(PolicyRule::from_json(one));
    if (const Json* list = find(o, {"aggregationRule", "clusterRoleSelectors"}); list && list->is_array())
      for (const auto& one : *list) r.selectors.push_back(one);
    r.labels = k8s::labels_of(o);
    return r;
  };
  each("roles", [&](const StoredObject& s, const Json& o) { t->roles[s.key()] = role(o); });
  each("clusterroles", [&](const StoredObject& s, const Json& o) { t->cluster_roles[s.name] = role(o); });
  for (const char* kind : {"rolebindings", "clusterrolebindings"})
    each(kind, [&](const StoredObject& s, const Json& o) {
      Binding b{s.ns, s.name, string_at(o, {"roleRef", "kind"}), string_at(o, {"roleRef", "name"}), {}};
      if (const Json* list = find(o, {"subjects"}); list && list->is_array())
        for (const auto& one : *list) b.subjects.push_back(one);
      t->bindings.push_back(std::move(b));
    });
  // An aggregated role's rules are those of the roles that its selectors match, which may be aggregated
  // themselves (admin of edit of view): as many rounds as anybody nests.
  for (int round = 0; round < 3; ++round)
  for (auto& [name, r] : t->cluster_roles) {
    if (r.selectors.empty()) continue;
    std::vector<PolicyRule> rules;
    for (const auto& selector : r.selectors) {
      auto parsed = k8s::LabelSelector::from_json(selector);
      if (!parsed.ok()) continue;
      for (const auto& [other, source] : t->cluster_roles)
        if (other != name && parsed->matches(source.labels)) rules.insert(rules.end(), source.rules.begin(), source.rules.end());
    }
    r.rules = std::move(rules);
  }
  t->from = std::move(now);
  tables_ = std::move(t);
  return *tables_;
}

std::vector<PolicyRule> Authorizer::rules_of(const Tables& t, const Binding& b) const {
  if (b.role_kind == "ClusterRole") {
    auto it = t.cluster_roles.find(b.role);
    return it == t.cluster_roles.end() ? std::vector<PolicyRule>() : it->second.rules;
  }
  auto it = t.roles.find(b.ns + "/" + b.role);
  return it == t.roles.end() ? std::vector<PolicyRule>() : it->second.rules;
}

namespace {

bool is_subject(const Json& subject, const UserInfo& user, const std::string& binding_ns) {
  auto kind = string_at(subject, {"kind"}), name = string_at(subject, {"name"});
  if (kind == "User") return name == user.name;
  if (kind == "Group") return user.in_group(name);
  if (kind == "ServiceAccount") {
    auto ns = string_at(subject, {"namespace"}, binding_ns);
    return user.name == fmt::format("system:serviceaccount:{}:{}", ns, name);
  }
  return false;
}

}  // namespace

Decision Authorizer::authorize(const AccessRequest& r) {
  if (r.user.in_group("system:masters")) return {true, ""};
  const auto& t = tables();
  for (const auto& b : t.bindings) {
    if (!b.ns.empty() && (!r.resource || b.ns != r.ns)) continue;
    if (std::none_of(b.subjects.begin(), b.subjects.end(), [&](const Json& s) { return is_subject(s, r.user, b.ns); })) continue;
    for (const auto& rule : rules_of(t, b))
      if (rule.allows(r))
        return {true, fmt::format("RBAC: allowed by {} \"{}\" of {} \"{}\"", b.ns.empty() ? "ClusterRoleBinding" : "RoleBinding",
                                  b.ns.empty() ? b.name : b.name + "/" + b.ns, b.role_kind, b.role)};
  }
  return {};
}

std::vector<PolicyRule> Authorizer::rules_for(const UserInfo& user, const std::string& ns) {
  std::vector<PolicyRule> out;
  if (user.in_group("system:masters")) {
    out.push_back({{"*"}, {"*"}, {"*"}, {}, {}});
    out.push_back({{"*"}, {}, {}, {}, {"*"}});
  }
  const auto& t = tables();
  for (const auto& b : t.bindings) {
    if (!b.ns.empty() && b.ns != ns) continue;
    if (std::none_of(b.subjects.begin(), b.subjects.end(), [&](const Json& s) { return is_subject(s, user, b.ns); })) continue;
    auto rules = rules_of(t, b);
    out.insert(out.end(), rules.begin(), rules.end());
  }
  return out;
}

std::vector<PolicyRule> Authorizer::rules_of_role(const std::string& kind, const std::string& ns, const std::string& name) {
  return rules_of(tables(), Binding{ns, "", kind, name, {}});
}

bool Authorizer::role_exists(const std::string& kind, const std::string& ns, const std::string& name) {
  const auto& t = tables();
  return kind == "ClusterRole" ? t.cluster_roles.contains(name) : t.roles.contains(ns + "/" + name);
}

std::string Authorizer::describe(const AccessRequest& r) {
  if (!r.resource) return fmt::format("User \"{}\" cannot {} path \"{}\"", r.user.name, r.verb, r.path);
  return fmt::format("User \"{}\" cannot {} resource \"{}\" in API group \"{}\" {}", r.user.name, r.verb, r.resource_name, r.group,
                     r.ns.empty() ? "at the cluster scope" : fmt::format("in the namespace \"{}\"", r.ns));
}

}  // namespace nodevirt::apiserver
