#include "standalone/apiserver/server.hpp"

#include <fmt/format.h>

#include "pkg/base/log.hpp"
#include "standalone/apiserver/admission/webhooks.hpp"
#include "standalone/apiserver/aggregation/aggregator.hpp"
#include "standalone/apiserver/auth/authenticator.hpp"
#include "standalone/apiserver/auth/authorizer.hpp"
#include "standalone/apiserver/auth/tokens.hpp"
#include "standalone/apiserver/bootstrap.hpp"
#include "standalone/apiserver/crd/converter.hpp"
#include "standalone/apiserver/crd/definition.hpp"
#include "standalone/apiserver/crd/lifecycle.hpp"
#include "standalone/apiserver/dispatch.hpp"
#include "standalone/apiserver/handlers/openapi_publisher.hpp"
#include "standalone/apiserver/local_transport.hpp"
#include "standalone/apiserver/objects.hpp"
#include "standalone/apiserver/schema_cache.hpp"
#include "standalone/apiserver/server_state.hpp"
#include "standalone/apiserver/service_resolver.hpp"

namespace nodevirt::apiserver {

ServerState::ServerState(Executor e, Options o) : executor(std::move(e)), options(std::move(o)) {}
ServerState::~ServerState() = default;

Result<std::unique_ptr<Server>> Server::open(Executor executor, Options options) {
  std::unique_ptr<Server> self(new Server);
  auto state = std::make_shared<ServerState>(executor, std::move(options));
  auto& s = *state;
  Store::Options store_options;
  store_options.path = s.options.database;
  store_options.history = s.options.history;
  NV_TRY(s.store, Store::open(executor, store_options));
  s.schemas = std::make_unique<SchemaCache>(*s.store);
  s.resolver = std::make_unique<ServiceResolver>(executor, s.options, *s.store);
  s.converter = std::make_unique<Converter>(s);
  s.webhooks = std::make_unique<Webhooks>(s);
  NV_TRY(s.tokens, TokenIssuer::make(s.options.service_account_key_pem, s.options.issuer));
  s.authenticator = std::make_unique<Authenticator>(s);
  s.authorizer = std::make_unique<Authorizer>(s);
  s.objects = std::make_unique<Objects>(s);
  s.aggregator = std::make_unique<Aggregator>(s);
  s.openapi = std::make_unique<OpenApiPublisher>(s);
  register_stored_definitions(s);
  self->state_ = std::move(state);
  return self;
}

Server::~Server() {
  if (state_) state_->stop.request_stop();
}

UserInfo Server::administrator() { return {"system:apiserver", "", {"system:masters", "system:authenticated"}, {}}; }

net::Handler Server::handler() {
  auto state = state_;
  return [state](net::ServerRequest& request, net::ResponseStream& response) { return dispatch(state, request, response, std::nullopt); };
}

std::shared_ptr<client::Transport> Server::local_transport(UserInfo user) {
  return std::make_shared<LocalTransport>(state_, std::move(user));
}

Awaitable<void> Server::run(StopToken stop) {
  auto state = state_;
  auto aggregation = state->aggregator->run(stop);
  spawn(state->executor, std::move(aggregation), "aggregated APIs");
  auto transport = local_transport();
  auto kept = keep_own_service(transport, state->options.service_cidr, stop);
  spawn(state->executor, std::move(kept), "own service");
  co_await run_definitions(*state, stop);
  state->stop.request_stop();
}

}  // namespace nodevirt::apiserver
