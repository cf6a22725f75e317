// What the parts of the server share: one of each per server, all on one executor.
#pragma once
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "pkg/base/clock.hpp"
#include "pkg/net/http_server.hpp"
#include "standalone/apiserver/options.hpp"
#include "standalone/apiserver/resources/registry.hpp"
#include "standalone/apiserver/store/store.hpp"

namespace nodevirt::apiserver {

class SchemaCache;
class Converter;
class Webhooks;
class Authenticator;
class TokenIssuer;
class Authorizer;
class Objects;
class Aggregator;
class ServiceResolver;
class OpenApiPublisher;

struct ServerState {
  ServerState(Executor executor, Options options);
  ~ServerState();
  Clock& clock() const { return *options.clock; }

  Executor executor;
  Options options;
  std::unique_ptr<Store> store;
  Registry registry;
  std::unique_ptr<SchemaCache> schemas;
  std::unique_ptr<ServiceResolver> resolver;
  std::unique_ptr<Converter> converter;
  std::unique_ptr<Webhooks> webhooks;
  std::unique_ptr<TokenIssuer> tokens;
  std::unique_ptr<Authenticator> authenticator;
  std::unique_ptr<Authorizer> authorizer;
  std::unique_ptr<Objects> objects;
  std::unique_ptr<Aggregator> aggregator;
  std::unique_ptr<OpenApiPublisher> openapi;
  std::shared_ptr<History::Follower> definitions;   ///< keeps the registry in step with each commit
  StopSource stop;
};

}  // namespace nodevirt::apiserver
