// Who may speak for users on a real cluster: kube-apiserver publishes its front proxy's CA and names.
#pragma once
#include <string>
#include <vector>

#include "pkg/client/client.hpp"

namespace nodevirt::virt_api {

struct RequestHeaderAuth {
  std::string client_ca_pem;
  std::vector<std::string> allowed_names;
};
/// From kube-system/extension-apiserver-authentication.
Awaitable<Result<RequestHeaderAuth>> request_header_auth(client::Client client);

}  // namespace nodevirt::virt_api
