// The embedded, Kubernetes-compatible API server.
//
// Everything runs on one executor (one thread); the store's writer and blocking work have threads of
// their own. The server opens no socket: handler() is given to net::HttpServer, local_transport() to
// programs in the same process.
#pragma once
#include <memory>

#include "pkg/base/async.hpp"
#include "pkg/client/transport.hpp"
#include "pkg/net/http_server.hpp"
#include "standalone/apiserver/options.hpp"
#include "standalone/apiserver/request_info.hpp"

namespace nodevirt::apiserver {

struct ServerState;

class Server {
 public:
  /// Opens (or makes) the database and is ready to serve; run() must be running for what happens by itself.
  static Result<std::unique_ptr<Server>> open(Executor executor, Options options);
  ~Server();

  net::Handler handler();
  /// Requests made in this process, as this user; the default is an administrator (system:masters).
  std::shared_ptr<client::Transport> local_transport(UserInfo user = administrator());
  static UserInfo administrator();

  /// What every cluster has: namespaces, default roles, priority classes, the service `kubernetes`.
  /// Idempotent; nothing is written when all is there.
  Awaitable<Result<void>> bootstrap();
  /// Definitions' cleanup, availability of aggregated APIs; ends watches when stopped.
  Awaitable<void> run(StopToken stop);

  ServerState& state() { return *state_; }

 private:
  Server() = default;
  std::shared_ptr<ServerState> state_;
};

}  // namespace nodevirt::apiserver
