// Aggregated APIs: requests for a group version that an APIService gives to somebody else's server.
#pragma once
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "pkg/base/async.hpp"
#include "pkg/base/json.hpp"
#include "standalone/apiserver/handlers/call.hpp"

namespace nodevirt::apiserver {

class Aggregator {
 public:
  explicit Aggregator(ServerState& state) : s_(state) {}

  /// Groups with their versions (preferred first) that others serve and we do not.
  std::vector<std::pair<std::string, std::vector<std::string>>> groups();
  /// Whether requests under this group version are somebody else's.
  bool serves(const std::string& group, const std::string& version);
  /// Passes the request on with who asks (X-Remote-User ...), and its answer or its upgraded stream back.
  Awaitable<void> proxy(Call& call);
  /// Their APIGroupDiscovery items (v2); a server that does not answer is left out as stale.
  Awaitable<std::vector<Json>> discovery();
  /// Keeps the condition Available of every APIService true to life, until stopped.
  Awaitable<void> run(StopToken stop);

 private:
  struct Service {
    std::string name, group, version, ns, service, ca;
    std::int64_t port = 443, group_priority = 0, version_priority = 0;
    bool insecure = false;
    std::int64_t revision = 0;
  };
  const std::map<std::string, Service>& services();
  Awaitable<Result<Json>> resources(Service service);
  Awaitable<void> check(Service service);

  ServerState& s_;
  std::vector<StoredPtr> from_;
  std::map<std::string, Service> services_;   // by "group/version"
  struct Discovered {
    std::int64_t revision = 0;
    std::chrono::steady_clock::time_point at;
    Json resources;                           // APIResourceList's resources
  };
  std::map<std::string, Discovered> discovered_;
};

}  // namespace nodevirt::apiserver
