// Connections to virt-handler, one client per node address.
#pragma once
#include <map>
#include <memory>
#include <string>

#include "pkg/client/client.hpp"
#include "pkg/net/http_client.hpp"

namespace nodevirt::virt_api {

class Handlers {
 public:
  /// `tls`: our client certificate, and the name that virt-handler's certificate must carry.
  Handlers(Executor executor, client::Client client, std::shared_ptr<net::TlsContext> tls)
      : executor_(std::move(executor)), client_(std::move(client)), tls_(std::move(tls)) {}

  /// The client of the virt-handler that has the instance. Errors say what is missing.
  Awaitable<Result<std::shared_ptr<net::HttpClient>>> of_instance(Json vmi);

 private:
  Executor executor_;
  client::Client client_;
  std::shared_ptr<net::TlsContext> tls_;
  std::map<std::string, std::shared_ptr<net::HttpClient>> by_address_;
};

/// /v1/namespaces/NS/virtualmachineinstances/NAME/VERB?uid=UID[&more], of virt-handler's server.
std::string handler_target(const Json& vmi, std::string_view verb, std::string_view more_query = "");

}  // namespace nodevirt::virt_api
