// Admission webhooks (admissionregistration.k8s.io/v1): who is asked about a write, and what they say.
#pragma once
#include <map>
#include <string>
#include <vector>

#include "pkg/base/async.hpp"
#include "pkg/base/json.hpp"
#include "standalone/apiserver/request_info.hpp"
#include "standalone/apiserver/server_state.hpp"

namespace nodevirt::apiserver {

struct AdmissionAttributes {
  ResourcePtr resource;
  std::string version, subresource, operation;   ///< CREATE UPDATE DELETE CONNECT
  std::string ns, name;
  UserInfo user;
  bool dry_run = false;
  Json options;                     ///< of a deletion
  /// The kind of the object sent when it is not the resource's own (Eviction, Binding ...).
  std::string object_group, object_version, object_kind;
};

class Webhooks {
 public:
  explicit Webhooks(ServerState& state) : s_(state) {}

  /// The object after every matching mutating webhook, in the order of their configurations' names.
  Awaitable<Result<Json>> mutate(AdmissionAttributes attributes, Json object, Json old, std::vector<std::string>& warnings);
  /// Forbidden or whatever status the first refusing webhook gives.
  Awaitable<Result<void>> validate(AdmissionAttributes attributes, Json object, Json old, std::vector<std::string>& warnings);

 private:
  struct Hook {
    std::string name;
    Json config;
  };
  /// Parsed configurations, kept while their stored objects are the same.
  const std::vector<Hook>& hooks(const std::string& resource);
  struct Match {
    bool matches = false;
    std::string version;            ///< in which the webhook wants the object
  };
  Match match(const Hook& hook, const AdmissionAttributes& a, const Json& object, const Json& old) const;
  struct Answer {
    bool called = false;
    Json patch;                     ///< null: nothing changes
  };
  Awaitable<Result<Answer>> call(Hook hook, AdmissionAttributes a, std::string version, Json object, Json old,
                                 std::vector<std::string>& warnings);

  struct Cached {
    std::vector<StoredPtr> from;
    std::vector<Hook> hooks;
  };
  ServerState& s_;
  std::map<std::string, Cached> cache_;
};

}  // namespace nodevirt::apiserver
