// Writing objects: what every create, update, patch and delete goes through, whatever the kind.
//   decode -> defaults -> strategy -> mutating admission -> validation -> validating admission ->
//   conversion to the storage version -> commit
#pragma once
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "pkg/base/async.hpp"
#include "pkg/base/json.hpp"
#include "standalone/apiserver/request_info.hpp"
#include "standalone/apiserver/resources/strategy.hpp"
#include "standalone/apiserver/server_state.hpp"

namespace nodevirt::apiserver {

enum class FieldValidation { Ignore, Warn, Strict };

struct WriteContext {
  ResourcePtr resource;
  std::string version;           ///< of the request
  std::string ns, name, subresource;
  UserInfo user;
  bool dry_run = false;
  FieldValidation field_validation = FieldValidation::Ignore;
  std::string manager;           ///< fieldManager, or the user agent's first word
  bool applied = false;          ///< create: managedFields are already those of server-side apply
  std::vector<std::string> warnings;
  std::vector<std::string> duplicate_fields;   ///< found when the body was parsed
};

struct Written {
  Json object;                   ///< in the request's version
  bool created = false;
  bool removed = false;          ///< the write ended a deletion
};

struct Deletion {
  std::optional<std::int64_t> grace_seconds;
  std::string propagation;       ///< Background, Foreground, Orphan or empty
  std::string uid, resource_version;   ///< preconditions
  Json options = Json::object();       ///< as the client sent them
};

struct Deleted {
  Json object;
  bool gone = false;             ///< false: it waits for finalizers or its grace period
};

class Objects {
 public:
  explicit Objects(ServerState& state) : s_(state) {}

  /// The object in the request's version. NotFound, or what conversion says.
  Awaitable<Result<Json>> get(ResourcePtr resource, std::string version, std::string ns, std::string name);
  Awaitable<Result<Written>> create(WriteContext& context, Json object);

  /// Makes the new object from the current one (null when absent), which it may not keep. It is
  /// called again when somebody else wrote meanwhile, unless the new object insists on a revision.
  using Mutate = std::function<Result<Json>(const Json* current)>;
  struct UpdateOptions {
    bool create_when_absent = false;   ///< server-side apply
    bool patch = false;                ///< the revision in the object counts only when the patch named it
    bool apply = false;                ///< managedFields are already the result of apply
    std::string operation = "UPDATE";
  };
  Awaitable<Result<Written>> update(WriteContext& context, UpdateOptions options, Mutate mutate);
  Awaitable<Result<Deleted>> remove(WriteContext& context, Deletion deletion);

  /// For writes by the server itself (binding, controllers in this folder): a change of the stored
  /// object without admission and validation. `change` returns false to leave it.
  Awaitable<Result<Json>> modify(ResourcePtr resource, std::string ns, std::string name,
                                 std::function<Result<bool>(Json& object)> change, bool dry_run = false);

 private:
  Awaitable<Result<void>> check_namespace(const WriteContext& context);
  Result<void> complain(WriteContext& context, std::vector<std::string> unknown);
  Result<void> decode(WriteContext& context, Json& object, bool strict_only_body);
  Awaitable<Result<Written>> finish(WriteContext& context, Json object, const Json* current_stored,
                                    StoredPtr head, bool remove);
  StrategyContext strategy_context(const WriteContext& context) const;

  ServerState& s_;
};

/// Errors of the store, in the words of the resource they are about.
Error describe(const Error& error, const ResourceInfo& info, const std::string& name);
/// Drops members of metadata that do not exist; their paths are added to `dropped`.
void prune_metadata(Json& object, std::vector<std::string>& dropped);

}  // namespace nodevirt::apiserver
