// RBAC: what a user may do, by roles and bindings; system:masters may do everything.
#pragma once
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "pkg/base/json.hpp"
#include "standalone/apiserver/request_info.hpp"
#include "standalone/apiserver/server_state.hpp"

namespace nodevirt::apiserver {

struct AccessRequest {
  UserInfo user;
  bool resource = true;
  std::string verb, group, resource_name /* "pods" or "pods/log" */, ns, name, path;
};

struct Decision {
  bool allowed = false;
  std::string reason;
};

struct PolicyRule {
  std::vector<std::string> verbs, groups, resources, names, paths;
  bool allows(const AccessRequest& request) const;
  static PolicyRule from_json(const Json& rule);
  Json to_json() const;
};

class Authorizer {
 public:
  explicit Authorizer(ServerState& state) : s_(state) {}
  Decision authorize(const AccessRequest& request);
  /// The rules that apply to a user in a namespace (SelfSubjectRulesReview).
  std::vector<PolicyRule> rules_for(const UserInfo& user, const std::string& ns);
  /// A role's rules, aggregated where it is; empty when there is none of the name.
  std::vector<PolicyRule> rules_of_role(const std::string& kind, const std::string& ns, const std::string& name);
  bool role_exists(const std::string& kind, const std::string& ns, const std::string& name);
  /// What a request is called in a refusal: `User "x" cannot list resource "pods" in API group "" ...`.
  static std::string describe(const AccessRequest& request);

 private:
  struct Role {
    std::vector<PolicyRule> rules;
    std::vector<Json> selectors;    // aggregationRule
    std::map<std::string, std::string> labels;
  };
  struct Binding {
    std::string ns, name, role_kind, role;
    std::vector<Json> subjects;
  };
  struct Tables;
  const Tables& tables();
  std::vector<PolicyRule> rules_of(const Tables& t, const Binding& b) const;

  ServerState& s_;
  std::shared_ptr<Tables> tables_;
};

/// The bootstrap cluster roles and bindings, as objects.
std::vector<Json> default_roles();

}  // namespace nodevirt::apiserver
