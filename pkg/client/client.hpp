// A client of the Kubernetes API: typed by Resource, objects as JSON.
#pragma once
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "pkg/base/json.hpp"
#include "pkg/client/transport.hpp"
#include "pkg/k8s/resource.hpp"

namespace nodevirt::client {

enum class PatchType { Json, Merge, StrategicMerge, Apply };

struct WriteOptions {
  std::string subresource;       ///< "status", "scale", "binding", "eviction" ...
  std::string field_manager;     ///< required for Apply
  bool force = false;            ///< Apply only
  bool dry_run = false;
};

struct DeleteOptions {
  std::string propagation;       ///< Background, Foreground, Orphan, or the kind's default
  std::optional<std::int64_t> grace_period_seconds;
  std::string uid;               ///< precondition
  std::string resource_version;  ///< precondition
};

struct ListOptions {
  std::string label_selector, field_selector, resource_version, resource_version_match, continue_token;
  std::int64_t limit = 0;
};

/// The target of a list request, with its query.
std::string list_target(const k8s::Resource& r, std::string_view ns, const ListOptions& options);

/// Every call is one request; nothing is retried here. Errors carry the Status' reason (NotFound,
/// AlreadyExists, Conflict, Invalid, Forbidden, Expired ...), its message and its details.
///
/// The Client itself need not outlive what its calls return.
/// Options are variables of the caller, never written inside the co_await expression: GCC 12 copies such
/// temporaries bit by bit (that is also why there are overloads here, and no default arguments).
class Client {
 public:
  explicit Client(std::shared_ptr<Transport> transport);

  Awaitable<Result<Json>> get(k8s::Resource r, std::string ns, std::string name);
  Awaitable<Result<Json>> list(k8s::Resource r, std::string ns);
  Awaitable<Result<Json>> list(k8s::Resource r, std::string ns, ListOptions options);
  Awaitable<Result<Json>> create(k8s::Resource r, std::string ns, Json object);
  Awaitable<Result<Json>> create(k8s::Resource r, std::string ns, Json object, WriteOptions options);
  /// With `subresource` set, POSTs/PUTs to that subresource.
  Awaitable<Result<Json>> create_subresource(k8s::Resource r, std::string ns, std::string name, std::string subresource, Json object);
  Awaitable<Result<Json>> replace(k8s::Resource r, std::string ns, std::string name, Json object);
  Awaitable<Result<Json>> replace(k8s::Resource r, std::string ns, std::string name, Json object, WriteOptions options);
  Awaitable<Result<Json>> patch(k8s::Resource r, std::string ns, std::string name, PatchType type, Json patch);
  Awaitable<Result<Json>> patch(k8s::Resource r, std::string ns, std::string name, PatchType type, Json patch,
                                WriteOptions options);
  Awaitable<Result<Json>> remove(k8s::Resource r, std::string ns, std::string name);
  Awaitable<Result<Json>> remove(k8s::Resource r, std::string ns, std::string name, DeleteOptions options);
  /// Any other path of the server (subresources API, /version, /healthz).
  Awaitable<Result<net::Response>> raw(net::Request request);
  const std::shared_ptr<Transport>& transport() const { return transport_; }

 private:
  std::shared_ptr<Transport> transport_;
};

}  // namespace nodevirt::client
