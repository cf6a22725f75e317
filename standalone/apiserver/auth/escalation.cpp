#include "standalone/apiserver/auth/escalation.hpp"

#include <fmt/format.h>

#include "standalone/apiserver/auth/authorizer.hpp"
#include "standalone/apiserver/errors.hpp"

namespace nodevirt::apiserver {

namespace {

/// The first right of the rule that the user lacks; empty when none.
std::string lacking(ServerState& s, const UserInfo& user, const PolicyRule& rule, const std::string& ns) {
  std::size_t budget = 20000;
  for (const auto& verb : rule.verbs) {
    for (const auto& path : rule.paths) {
      AccessRequest a{user, false, verb, "", "", "", "", path};
      if (!s.authorizer->authorize(a).allowed) return fmt::format("{} of {}", verb, path);
    }
    for (const auto& group : rule.groups)
      for (const auto& resource : rule.resources) {
        auto names = rule.names;
        if (names.empty()) names.push_back("");
        for (const auto& name : names) {
          if (budget-- == 0) return "too many rules";
          AccessRequest a{user, true, verb, group, resource, ns, name, ""};
          if (!s.authorizer->authorize(a).allowed) return fmt::format("{} of {}", verb, qualified(group, resource));
        }
      }
  }
  return "";
}

std::vector<PolicyRule> rules_in(const Json& role) {
  std::vector<PolicyRule> out;
  if (const Json* rules = find(role, {"rules"}); rules && rules->is_array())
    for (const auto& r : *rules) out.push_back(PolicyRule::from_json(r));
  return out;
}

}  // namespace

Result<void> check_escalation(ServerState& s, const UserInfo& user, const ResourceInfo& info, const Json& o, const Json* old) {
  if (info.group != "rbac.authorization.k8s.io" || user.in_group("system:masters")) return {};
  auto ns = string_at(o, {"metadata", "namespace"}), name = string_at(o, {"metadata", "name"});
  auto refuse = [&](const std::string& what) {
    return forbidden(info.group, info.plural, name, fmt::format("user \"{}\" is attempting to grant RBAC permissions not currently held: {}", user.name, what));
  };
  if (info.kind == "Role" || info.kind == "ClusterRole") {
    if (old && old->value("rules", Json()) == o.value("rules", Json()) && old->value("aggregationRule", Json()) == o.value("aggregationRule", Json())) return {};
    AccessRequest escalate{user, true, "escalate", info.group, info.plural, ns, name, ""};
    if (s.authorizer->authorize(escalate).allowed) return {};
    if (o.contains("aggregationRule") && !o["aggregationRule"].is_null()) {
      PolicyRule all{{"*"}, {"*"}, {"*"}, {}, {}};
      if (auto what = lacking(s, user, all, ns); !what.empty()) return refuse("an aggregation rule needs all rights");
    }
    for (const auto& rule : rules_in(o)) if (auto what = lacking(s, user, rule, ns); !what.empty()) return refuse(what);
    return {};
  }
  if (old && old->value("subjects", Json()) == o.value("subjects", Json()) && old->value("roleRef", Json()) == o.value("roleRef", Json())) return {};
  auto kind = string_at(o, {"roleRef", "kind"}), role = string_at(o, {"roleRef", "name"});
  std::string plural = kind == "ClusterRole" ? "clusterroles" : "roles";
  AccessRequest bind{user, true, "bind", info.group, plural, ns, role, ""};
  if (s.authorizer->authorize(bind).allowed) return {};
  for (const auto& rule : s.authorizer->rules_of_role(kind, ns, role))
    if (auto what = lacking(s, user, rule, ns); !what.empty()) return refuse(what);
  if (!s.authorizer->role_exists(kind, ns, role)) return not_found(info.group, plural, role);
  return {};
}

}  // namespace nodevirt::apiserver
